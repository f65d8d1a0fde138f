-- Values of tags that lie outside the domain of their tag, and how many customers have them.
with
listed as (
    select unnest($tags) as t
),

registry as (
    select
        t['tag'] as tag,
        t['type'] as type,
        case when t['type'] = 'flag' then make_array('true', 'false') else t['levels'] end as levels,
        t['minimum'] as minimum,
        t['maximum'] as maximum
    from listed
),

-- Numbers have too many values to be told one by one.
counted as (
    select
        tag,
        value,
        count(*) as customers
    from segments.customer_tags
    where number is null
    group by tag, value
),

single as (
    select
        c.tag,
        unnest(case when r.type = 'list' then string_to_array(c.value, ', ') else make_array(c.value) end) as value,
        c.customers
    from counted as c
    inner join registry as r on c.tag = r.tag
    where r.levels is not null
),

known as (
    select
        tag,
        unnest(levels) as value
    from registry
)

select
    s.tag,
    s.value,
    s.customers
from single as s
left join known as k on s.tag = k.tag and s.value = k.value
where k.tag is null and s.value <> ''
union all
select
    c.tag,
    c.value,
    count(*) as customers
from registry as r
inner join segments.customer_tags as c on r.tag = c.tag
where
    (r.type = 'number' and c.number is null)
    or isnan(c.number)
    or c.number < r.minimum
    or c.number > r.maximum
group by c.tag, c.value
