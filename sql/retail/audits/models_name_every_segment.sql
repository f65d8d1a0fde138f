-- Segments of the behaviour model that share a name or have none.
select
    segment_name,
    count(distinct segment) as segments
from segments.segments
group by segment_name
having segment_name is null or segment_name = '' or count(distinct segment) > 1
