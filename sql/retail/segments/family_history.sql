-- The segment of each customer in each family as of every run there has been, this one included, with what they bought.
-- store: view
-- why: the one place that says which families there are and where their segments stand; all that follows segments over time
--    reads it
with
observed as (
    select
        as_of,
        customer_id,
        segment,
        segment_name,
        segment_name_zh,
        rfm_type,
        life_cycle,
        own_life_cycle,
        value_tier,
        spending_level,
        buyer_grade,
        recency_days,
        frequency,
        monetary_total
    from customer_360
    union all
    select
        as_of,
        customer_id,
        segment,
        segment_name,
        segment_name_zh,
        rfm_type,
        life_cycle,
        own_life_cycle,
        value_tier,
        spending_level,
        buyer_grade,
        recency_days,
        frequency,
        monetary_total
    from segments.customer_360
),

told as (
    select
        as_of,
        customer_id,
        recency_days,
        frequency,
        monetary_total,
        unnest(
            [
                named_struct(
                    'family', 'behaviour', 'segment', cast(segment as varchar),
                    'name', segment_name, 'name_zh', segment_name_zh
                ),
                named_struct('family', 'rfm', 'segment', rfm_type, 'name', null, 'name_zh', null),
                named_struct('family', 'life_cycle', 'segment', life_cycle, 'name', null, 'name_zh', null),
                named_struct('family', 'value_tier', 'segment', value_tier, 'name', null, 'name_zh', null),
                named_struct('family', 'own_life_cycle', 'segment', own_life_cycle, 'name', null, 'name_zh', null),
                named_struct('family', 'spending_level', 'segment', spending_level, 'name', null, 'name_zh', null),
                named_struct('family', 'buyer_grade', 'segment', buyer_grade, 'name', null, 'name_zh', null)
            ]
        ) as member
    from observed
),

members as (
    select
        as_of,
        customer_id,
        member['family'] as family,
        member['segment'] as segment,
        member['name'] as segment_name,
        member['name_zh'] as segment_name_zh,
        recency_days,
        frequency,
        monetary_total
    from told
)

select
    m.as_of,
    m.customer_id,
    m.family,
    m.segment,
    coalesce(n.name_en, m.segment_name, m.segment) as segment_name,
    coalesce(n.name_zh, m.segment_name_zh) as segment_name_zh,
    m.recency_days,
    m.frequency,
    m.monetary_total
from members as m
left join segments.names as n on m.family = n.family and m.segment = n.segment
where m.segment is not null
