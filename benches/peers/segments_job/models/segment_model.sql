-- Segments of customers: from a sample, moved once by all rows.
-- kind: kmeans
-- k: 12
-- scale: none
-- sample_rows: 262_144
-- starts: 16
-- seed: 7
-- polish: 1
-- bootstraps: 0
-- why: the features share a unit already, so that all engines cluster the same numbers
select
    customer_id,
    f00, f01, f02, f03, f04, f05, f06, f07,
    f08, f09, f10, f11, f12, f13, f14, f15,
    f16, f17, f18, f19, f20, f21, f22, f23,
    f24, f25, f26, f27, f28, f29, f30, f31
from raw.features
