select
    segment,
    segment_name,
    customers,
    cast(customer_share * 100 as decimal(5, 1)) as "share %",
    spend,
    deciding_features
from segment_summary
where family = 'behaviour'
order by customers desc, segment
