select
    segment,
    segment_name,
    customers,
    cast(customer_share * 100 as decimal(5, 1)) as "share %",
    spend,
    deciding_features
from segment_summary
join current_runs using (as_of)
where is_last and family = 'behaviour'
order by customers desc, segment
