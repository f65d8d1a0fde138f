select segment, segment_name, customers, customer_share, spend, deciding_features
from segment_summary
where family = 'behaviour'
order by customers desc, segment
