select segment, segment_name, customers, share, spend, deciding_features
from segment_summary
order by customers desc, segment
