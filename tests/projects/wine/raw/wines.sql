-- Chemical analyses of wines.
-- grain: wine_id
-- event_time: analysed_at
-- clock: true
create external table raw.wines (
    wine_id bigint,
    analysed_at timestamp(6),
    alcohol double,
    malic_acid double,
    ash double,
    alcalinity_of_ash double,
    magnesium double,
    total_phenols double,
    flavanoids double,
    nonflavanoid_phenols double,
    proanthocyanins double,
    color_intensity double,
    hue double,
    od280_od315_of_diluted_wines double,
    proline double
)
stored as csv
location 'raw/wines/'
