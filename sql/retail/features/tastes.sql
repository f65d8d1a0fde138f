-- What each customer who consents to marketing chose, by dimension and value: evidence, and its weight with decay.
-- grain: customer_id, dimension, value
-- store: table
-- why: who does not consent is not counted in the base either. Of what was bought the weight is that of lines kept, or of
--    orders by channel, and `out_of` is NULL, since it is the weight of all values together; of messages it is that of opened or
--    joined ones, out of those sent
with
consenting as (
    select customer_id
    from identity.person_consents
    where purpose = 'marketing' and granted
),

bought as (
    select
        b.customer_id,
        d.dimension,
        case d.dimension
            when 'category' then g.category
            when 'subcategory' then g.subcategory
            when 'brand' then g.brand
            else g.price_band
        end as value,
        b.kept_lines as evidence,
        b.weight,
        b.last_kept_on as last_on
    from features.purchased_products as b
    inner join consenting as c on b.customer_id = c.customer_id
    inner join features.product_attributes as g on b.product_id = g.product_id
    cross join (values ('category'), ('subcategory'), ('brand'), ('price band')) as d (dimension)
    where b.kept_lines > 0
),

ordered as (
    select
        d.customer_id,
        'shop channel' as dimension,
        n.channel as value,
        case n.channel when 'web' then d.web_orders when 'app' then d.app_orders else d.store_orders end as evidence,
        power(
            0.5, cast(local_date($as_of, $time_zone) - d.order_date as double) / $preference_half_life_days
        ) as weight,
        d.order_date as last_on
    from features.purchase_days as d
    inner join consenting as c on d.customer_id = c.customer_id
    cross join (values ('web'), ('app'), ('store')) as n (channel)
),

chosen as (
    select customer_id, dimension, value, evidence, weight, last_on
    from bought
    where value is not null
    union all
    select customer_id, dimension, value, evidence, evidence * weight as weight, last_on
    from ordered
    where evidence > 0
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
    customer_id,
    dimension,
    value,
    cast(sum(evidence) as bigint) as evidence,
    fixed_sum(weight) as weight,
    cast(null as double) as out_of,
    max(last_on) as last_on
from chosen
group by customer_id, dimension, value
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
