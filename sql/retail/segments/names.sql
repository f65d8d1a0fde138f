-- What each segment is called: as the company says, else as the rules that make it say.
-- store: view
-- why: a segment that a model learned has a row only when the company names it
select
    coalesce(g.family, r.family) as family,
    coalesce(g.segment, r.segment) as segment,
    coalesce(g.name_en, r.name_en) as name_en,
    coalesce(g.name_zh, r.name_zh) as name_zh
from staging.rule_segments as r
full outer join staging.segment_names as g on r.family = g.family and r.segment = g.segment
