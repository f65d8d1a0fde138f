-- What the analyses have in common.
-- kind: factors
-- method: pca
-- components: 3
select
    wine_id,
    alcohol,
    malic_acid,
    ash,
    alcalinity_of_ash,
    magnesium,
    total_phenols,
    flavanoids,
    nonflavanoid_phenols,
    proanthocyanins,
    color_intensity,
    hue,
    od280_od315_of_diluted_wines,
    proline
from raw.wines
