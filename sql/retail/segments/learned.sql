-- What models have learned of each customer: the segment they belong to, how clearly, and the lists of customers they resemble.
-- grain: customer_id
-- store: view
-- tag_segment_name: model level (any) | Behaviour segment | 行为分群
--    | the segment of the behaviour model with the nearest centre, named by what sets it apart | needs orders
-- tag_segment_silhouette: model number (0 to 1) | Clearness of the segment | 分群清晰度
--    | simplified silhouette: by which share the centre of the own segment is nearer than the next one | needs orders
-- tag_lookalike_lists: model list (any) | Lookalike of | 相似人群
--    | lists of seeds to which the customer is among the $lookalike_rows most alike of all others | for marketing
--    | needs lookalike_seeds, consents
-- why: the simplified silhouette takes distances to centres instead of all members (Vendramin, Campello and Hruschka 2010); models find
--    these tags, the names of segments follow from the data
with
alike as (
    select
        customer_id,
        value_set(list_id) as lists
    from segments.lookalikes
    where marketing_consent
    group by customer_id
)

select
    s.customer_id,
    s.segment_name,
    cast(round(s.margin / nullif(s.distance + s.margin, 0), 4) as decimal(5, 4)) as segment_silhouette,
    a.lists as lookalike_lists
from segments.assigned as s
left join alike as a on s.customer_id = a.customer_id
