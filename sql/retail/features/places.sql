-- Where each customer is when they use the app: the areas where they spend working hours and nights, how often they are at a
--    station on the way, and what is known of stores and rain there.
-- grain: customer_id
-- store: table
-- why: places are zones of several square kilometres; of the bits of hours 261632 are working hours (9 to 18), 786816 the way to and
--    from work (7 to 9, 18 to 20), 15728767 the hours from 20 to 7. The rate of days with visits on rainy days is set against that
--    on dry ones, from a customer's first day on; days with an order are left out, since what is needed does not wait for rain
with
mobiles as (
    select device_id
    from staging.logins
    where platform in ('ios', 'android')
    group by device_id
),

packed as (
    select
        v.customer_id,
        v.event_date,
        m.device_id is not null as mobile,
        unnest(v.places) as place
    from features.visits as v
    left join mobiles as m on v.device_id = m.device_id
    where v.customer_id is not null
),

place_days as (
    select
        customer_id,
        event_date,
        place['value'] as region_id,
        date_part('isodow', event_date) <= 5 as working_day,
        bit_or(place['hours']) as hours,
        bit_or(case when mobile then place['hours'] else 0 end) as mobile_hours
    from packed
    group by customer_id, event_date, place['value']
),

located as (
    select
        p.customer_id,
        p.event_date,
        p.region_id,
        r.city,
        not p.working_day or (p.hours & 15728767) > 0 as at_home,
        p.working_day and (p.mobile_hours & 261632) > 0 as at_work,
        p.working_day and p.mobile_hours > 0 as mobile,
        p.working_day and r.kind = 'station' and (p.mobile_hours & 786816) > 0 as on_the_way
    from place_days as p
    inner join staging.regions as r on p.region_id = r.region_id
),

areas as (
    select
        customer_id,
        region_id,
        city,
        count(*) filter (where at_home) as home_days,
        count(*) filter (where at_work) as work_days
    from located
    group by customer_id, region_id, city
),

days as (
    select
        customer_id,
        event_date,
        bool_or(mobile) as mobile,
        bool_or(on_the_way) as on_the_way
    from located
    group by customer_id, event_date
),

ways as (
    select
        customer_id,
        min(event_date) as first_on,
        count(*) filter (where mobile) as mobile_days,
        count(*) filter (where on_the_way) as on_the_way_days
    from days
    group by customer_id
),

homes as (
    select
        customer_id,
        max_by(region_id, home_days) filter (where home_days > 0) as home_area,
        cast(max(home_days) as bigint) as home_days,
        cast(sum(home_days) as bigint) as days_off_work,
        max_by(city, home_days) as city
    from areas
    group by customer_id
),

works as (
    select
        a.customer_id,
        max_by(a.region_id, a.work_days) filter (where a.work_days > 0) as work_area,
        cast(max(a.work_days) as bigint) as work_days
    from areas as a
    inner join homes as h on a.customer_id = h.customer_id
    where a.region_id <> h.home_area
    group by a.customer_id
),

-- Kilometres from the middle of each zone to the nearest store of its city.
distances as (
    select
        r.region_id,
        min(sqrt((r.x_km - s.x_km) * (r.x_km - s.x_km) + (r.y_km - s.y_km) * (r.y_km - s.y_km))) as store_km
    from staging.regions as r
    inner join staging.stores as s on r.city = s.city
    where s.opened_on is null or day_start(s.opened_on, $time_zone) < $as_of
    group by r.region_id
),

weather as (
    select
        city,
        weather_date,
        rain_mm >= $rain_mm as rainy
    from staging.weather
    where day_start(weather_date, $time_zone) < $as_of
),

-- Rainy and dry days from each day to the end; a day without a figure is neither.
spans as (
    select
        city,
        weather_date,
        count(*) filter (where rainy) over later as rainy_days,
        count(*) filter (where not rainy) over later as dry_days
    from weather
    window later as (
        partition by city
        order by weather_date desc
        rows between unbounded preceding and current row
    )
),

exposures as (
    select
        h.customer_id,
        s.rainy_days,
        s.dry_days
    from homes as h
    inner join ways as f on h.customer_id = f.customer_id
    inner join spans as s on h.city = s.city and f.first_on = s.weather_date
),

order_days as (
    select
        p.customer_id,
        o.order_date
    from facts.order_views as o
    inner join identity.account_person as p on o.account_id = p.account_id
    where o.ordered_at < $as_of
    group by p.customer_id, o.order_date
),

weather_visits as (
    select
        h.customer_id,
        count(*) filter (where w.rainy) as rainy_visits,
        count(*) filter (where not w.rainy) as dry_visits
    from homes as h
    inner join features.activity_days as a on h.customer_id = a.customer_id
    inner join weather as w on h.city = w.city and a.event_date = w.weather_date
    left join order_days as o on a.customer_id = o.customer_id and a.event_date = o.order_date
    where o.customer_id is null
    group by h.customer_id
)

select
    h.customer_id,
    h.home_area,
    h.home_days,
    h.days_off_work,
    w.work_area,
    coalesce(w.work_days, 0) as work_days,
    f.mobile_days,
    f.on_the_way_days,
    d.store_km,
    e.rainy_days,
    e.dry_days,
    coalesce(v.rainy_visits, 0) as rainy_visits,
    coalesce(v.dry_visits, 0) as dry_visits
from homes as h
inner join ways as f on h.customer_id = f.customer_id
left join works as w on h.customer_id = w.customer_id
left join distances as d on h.home_area = d.region_id
left join exposures as e on h.customer_id = e.customer_id
left join weather_visits as v on h.customer_id = v.customer_id
