-- The segment of each customer.
-- grain: as_of, customer_id
-- store: table
-- publish: as_of
select
    $as_of as as_of,
    customer_id,
    cast(
        kmeans_assign(
            make_array(
                f00, f01, f02, f03, f04, f05, f06, f07,
                f08, f09, f10, f11, f12, f13, f14, f15,
                f16, f17, f18, f19, f20, f21, f22, f23,
                f24, f25, f26, f27, f28, f29, f30, f31
            ),
            $segment_model
        )['segment'] as int
    ) as segment
from raw.features
