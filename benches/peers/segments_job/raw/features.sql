-- Features of the customers, already in a common unit.
-- grain: customer_id
create external table raw.features (
    customer_id bigint,
    f00 double, f01 double, f02 double, f03 double,
    f04 double, f05 double, f06 double, f07 double,
    f08 double, f09 double, f10 double, f11 double,
    f12 double, f13 double, f14 double, f15 double,
    f16 double, f17 double, f18 double, f19 double,
    f20 double, f21 double, f22 double, f23 double,
    f24 double, f25 double, f26 double, f27 double,
    f28 double, f29 double, f30 double, f31 double
)
stored as parquet
location 'raw/features/'
