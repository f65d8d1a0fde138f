-- How far each customer is from the seeds of each list, in the space of the behaviour model.
-- grain: list_id, customer_id
-- store: table
-- why: seeds differ among themselves, so each list has a centroid for every behaviour segment in which it has seeds, and the
--    nearest one counts; means are sums in fixed point, the same in every order
with
points as (
    select
        customer_id,
        kmeans_assign(vector, $behaviour_model)['segment'] as segment,
        kmeans_scale(vector, $behaviour_model) as point
    from features.behaviour_vectors
),

entries as (
    select
        s.list_id,
        p.segment,
        unnest(p.point) as value,
        unnest(range(1, cast(cardinality(p.point) as bigint) + 1)) as place
    from features.known_seeds as s
    inner join points as p on s.customer_id = p.customer_id
),

means as (
    select
        list_id,
        segment,
        place,
        fixed_sum(value) / count(*) as value
    from entries
    group by list_id, segment, place
),

centroids as (
    select
        list_id,
        segment,
        array_agg(value order by place) as centroid
    from means
    group by list_id, segment
),

distances as (
    select
        c.list_id,
        p.customer_id,
        min(array_distance(p.point, c.centroid)) as distance
    from centroids as c
    cross join points as p
    group by c.list_id, p.customer_id
)

select
    d.list_id,
    d.customer_id,
    s.customer_id is not null as is_seed,
    d.distance
from distances as d
left join features.known_seeds as s on d.list_id = s.list_id and d.customer_id = s.customer_id
