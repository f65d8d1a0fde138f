-- How often each customer who granted location was in each zone: nights and days off, working hours, and on the way.
-- grain: customer_id, region_id
-- store: table
-- why: nobody else's places are looked at; a visit is one device's of one day. Of the bits of hours 261632 are working hours (9 to 18),
--    786816 the way to and from work (7 to 9, 18 to 20), 15728767 the hours from 20 to 7
with
granted as (
    select customer_id
    from identity.person_consents
    where purpose = 'location' and granted
),

mobiles as (
    select device_id
    from staging.logins
    where platform in ('ios', 'android')
    group by device_id
),

packed as (
    select
        v.customer_id,
        date_part('isodow', v.event_date) <= 5 as working_day,
        m.device_id is not null as mobile,
        unnest(v.places) as place
    from features.visits as v
    inner join granted as g on v.customer_id = g.customer_id
    left join mobiles as m on v.device_id = m.device_id
),

visits as (
    select
        customer_id,
        working_day,
        mobile,
        place['value'] as region_id,
        place['hours'] as hours
    from packed
)

select
    v.customer_id,
    r.region_id,
    r.city,
    count(*) filter (where not v.working_day or (v.hours & 15728767) > 0) as home_visits,
    count(*) filter (where v.working_day and v.mobile and (v.hours & 261632) > 0) as work_visits,
    count(*) filter (where v.working_day and v.mobile) as mobile_visits,
    count(*) filter (
        where v.working_day and v.mobile and r.kind = 'station' and (v.hours & 786816) > 0
    ) as on_the_way_visits
from visits as v
inner join staging.regions as r on v.region_id = r.region_id
group by v.customer_id, r.region_id, r.city
