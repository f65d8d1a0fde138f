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

members as (
    select
        as_of,
        customer_id,
        'behaviour' as family,
        cast(segment as varchar) as segment,
        segment_name,
        segment_name_zh,
        recency_days,
        frequency,
        monetary_total
    from observed
    union all
    select
        as_of,
        customer_id,
        'rfm' as family,
        rfm_type as segment,
        cast(null as varchar) as segment_name,
        cast(null as varchar) as segment_name_zh,
        recency_days,
        frequency,
        monetary_total
    from observed
    union all
    select
        as_of,
        customer_id,
        'life_cycle' as family,
        life_cycle as segment,
        cast(null as varchar) as segment_name,
        cast(null as varchar) as segment_name_zh,
        recency_days,
        frequency,
        monetary_total
    from observed
    union all
    select
        as_of,
        customer_id,
        'value_tier' as family,
        value_tier as segment,
        cast(null as varchar) as segment_name,
        cast(null as varchar) as segment_name_zh,
        recency_days,
        frequency,
        monetary_total
    from observed
    union all
    select
        as_of,
        customer_id,
        'own_life_cycle' as family,
        own_life_cycle as segment,
        cast(null as varchar) as segment_name,
        cast(null as varchar) as segment_name_zh,
        recency_days,
        frequency,
        monetary_total
    from observed
    union all
    select
        as_of,
        customer_id,
        'spending_level' as family,
        spending_level as segment,
        cast(null as varchar) as segment_name,
        cast(null as varchar) as segment_name_zh,
        recency_days,
        frequency,
        monetary_total
    from observed
    union all
    select
        as_of,
        customer_id,
        'buyer_grade' as family,
        buyer_grade as segment,
        cast(null as varchar) as segment_name,
        cast(null as varchar) as segment_name_zh,
        recency_days,
        frequency,
        monetary_total
    from observed
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
