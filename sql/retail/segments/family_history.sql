-- The segment of each customer in each family as of every run there has been, this one included.
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
        value_tier
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
        value_tier
    from segments.customer_360
),

unfolded as (
    select
        as_of,
        customer_id,
        unnest(
            make_array(
                named_struct(
                    'family', 'behaviour',
                    'segment', cast(segment as varchar),
                    'name', segment_name,
                    'name_zh', segment_name_zh
                ),
                named_struct('family', 'rfm', 'segment', rfm_type, 'name', rfm_type, 'name_zh', null),
                named_struct('family', 'life_cycle', 'segment', life_cycle, 'name', life_cycle, 'name_zh', null),
                named_struct('family', 'value_tier', 'segment', value_tier, 'name', value_tier, 'name_zh', null)
            )
        ) as member
    from observed
)

select
    u.as_of,
    u.customer_id,
    u.member['family'] as family,
    u.member['segment'] as segment,
    coalesce(n.name_en, u.member['name']) as segment_name,
    coalesce(n.name_zh, u.member['name_zh']) as segment_name_zh
from unfolded as u
left join segments.names as n on u.member['family'] = n.family and u.member['segment'] = n.segment
where u.member['segment'] is not null
