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
)

select
    p.customer_id,
    r.region_id,
    r.city,
    count(*) filter (where not p.working_day or (p.place['hours'] & 15728767) > 0) as home_visits,
    count(*) filter (where p.working_day and p.mobile and (p.place['hours'] & 261632) > 0) as work_visits,
    count(*) filter (where p.working_day and p.mobile) as mobile_visits,
    count(*) filter (
        where p.working_day and p.mobile and r.kind = 'station' and (p.place['hours'] & 786816) > 0
    ) as on_the_way_visits
from packed as p
inner join staging.regions as r on p.place['value'] = r.region_id
group by p.customer_id, r.region_id, r.city
