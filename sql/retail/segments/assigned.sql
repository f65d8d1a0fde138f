-- The behaviour segment of each customer, how clear it is, and what decided it; `segments` adds the run that published it.
-- grain: as_of, customer_id
-- store: table
-- publish: none
with
assigned as (
    select
        customer_id,
        kmeans_assign(vector, $behaviour_model) as assignment,
        kmeans_explain(vector, $behaviour_model) as explanation
    from features.behaviour_vectors
)

select
    a.customer_id,
    $as_of as as_of,
    'behaviour' as family,
    cast(a.assignment['segment'] as int) as segment,
    coalesce(n.name_en, kmeans_segment_name(a.assignment['segment'], $behaviour_model)) as segment_name,
    coalesce(n.name_zh, kmeans_segment_name(a.assignment['segment'], $behaviour_model, 'zh')) as segment_name_zh,
    a.assignment['distance'] as distance,
    cast(a.assignment['runner_up'] as int) as runner_up,
    a.assignment['margin'] as margin,
    array_compact(
        make_array(
            case when a.explanation[1]['contribution'] > 0 then a.explanation[1]['feature'] end,
            case when a.explanation[2]['contribution'] > 0 then a.explanation[2]['feature'] end,
            case when a.explanation[3]['contribution'] > 0 then a.explanation[3]['feature'] end
        )
    ) as deciding_features,
    array_compact(
        make_array(
            l.life_cycle,
            r.rfm_type,
            r.rfm_segment,
            case when t.novelty_seeker then 'novelty seeker' end,
            case when d.discount_seeker then 'discount seeker' end,
            case when j.hesitant then 'hesitant' end,
            case when j.impulse_buyer then 'impulse buyer' end
        )
    ) as main_tags
from assigned as a
inner join tags.life_cycle as l on a.customer_id = l.customer_id
inner join tags.rhythm as t on a.customer_id = t.customer_id
inner join tags.price as d on a.customer_id = d.customer_id
inner join tags.trajectory as j on a.customer_id = j.customer_id
left join tags.rfm as r on a.customer_id = r.customer_id
left join segments.names as n on n.family = 'behaviour' and cast(a.assignment['segment'] as varchar) = n.segment
