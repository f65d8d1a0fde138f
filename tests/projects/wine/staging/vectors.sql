-- The features of each wine in the order the factors take them.
-- store: view
select
    wine_id,
    make_array(
        alcohol, malic_acid, ash, alcalinity_of_ash, magnesium, total_phenols, flavanoids, nonflavanoid_phenols,
        proanthocyanins, color_intensity, hue, od280_od315_of_diluted_wines, proline
    ) as vector
from raw.wines
