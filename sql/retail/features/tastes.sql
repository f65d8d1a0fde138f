-- What each customer who consents to marketing chose, by dimension and value: evidence, and its weight with decay.
-- grain: customer_id, dimension, value
-- store: table
-- sorted: no
-- why: who does not consent is not counted in the base either. Of what was bought the weight is that of lines kept, or of
--    orders by channel, and `out_of` is NULL, since it is the weight of all values together; of messages it is that of opened or
--    joined ones, out of those sent
with
consenting as (
    select customer_id
    from identity.person_consents
    where purpose = 'marketing' and granted
),

-- Each line of a product counts for its category, subcategory, brand and price band.
bought as (
    select
        b.customer_id,
        n.number,
        cast(sum(b.kept_lines) as bigint) as evidence,
        fixed_sum(b.weight) as weight,
        max(b.last_kept_on) as last_on
    from features.purchased_products as b
    inner join consenting as c on b.customer_id = c.customer_id
    inner join features.attribute_values as n on b.product_id = n.product_id
    where b.kept_lines > 0
    group by b.customer_id, n.number
),

named as (
    select
        number,
        dimension,
        value
    from features.attribute_values
    group by number, dimension, value
),

ordered as (
    select
        d.customer_id,
        n.channel,
        case n.channel when 'web' then d.web_orders when 'app' then d.app_orders else d.store_orders end as orders,
        power(
            0.5, cast(local_date($as_of, $time_zone) - d.order_date as double) / $preference_half_life_days
        ) as weight,
        d.order_date
    from features.purchase_days as d
    inner join consenting as c on d.customer_id = c.customer_id
    cross join (values ('web'), ('app'), ('store')) as n (channel)
),

answered as (
    select
        m.customer_id,
        d.dimension,
        case d.dimension when 'content' then m.goal else m.channel end as value,
        m.sent as evidence,
        case d.dimension when 'joined channel' then m.joined_weight else m.opened_weight end as weight,
        m.sent_weight as out_of,
        case d.dimension when 'joined channel' then m.last_joined_on else m.last_opened_on end as last_on
    from features.responses as m
    inner join consenting as c on m.customer_id = c.customer_id
    cross join (values ('message channel'), ('joined channel'), ('content')) as d (dimension)
    where m.sent > 0
)

select
    b.customer_id,
    n.dimension,
    n.value,
    b.evidence,
    b.weight,
    cast(null as double) as out_of,
    b.last_on
from named as n
right join bought as b on n.number = b.number
union all
select
    customer_id,
    'shop channel' as dimension,
    channel as value,
    cast(sum(orders) as bigint) as evidence,
    fixed_sum(orders * weight) as weight,
    cast(null as double) as out_of,
    max(order_date) as last_on
from ordered
where orders > 0
group by customer_id, channel
union all
select
    customer_id,
    dimension,
    value,
    cast(sum(evidence) as bigint) as evidence,
    coalesce(fixed_sum(weight), 0) as weight,
    fixed_sum(out_of) as out_of,
    max(last_on) as last_on
from answered
where value is not null
group by customer_id, dimension, value
