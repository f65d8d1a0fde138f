-- Where each customer who granted location is when they use the app: the areas of their nights and working hours, how often they are at
--    a station on the way, and what is known of stores and rain there.
-- grain: customer_id
-- store: table
-- why: places are zones of several square kilometres. The rate of days with visits on rainy days is set against that on dry ones, from a
--    customer's first day on; days with an order are left out, since what is needed does not wait for rain
with
homes as (
    select
        customer_id,
        max_by(region_id, home_visits) filter (where home_visits > 0) as home_area,
        cast(max(home_visits) as bigint) as home_visits,
        max_by(city, home_visits) as city,
        cast(sum(mobile_visits) as bigint) as mobile_visits,
        cast(sum(on_the_way_visits) as bigint) as on_the_way_visits
    from features.areas
    group by customer_id
),

firsts as (
    select
        a.customer_id,
        min(a.event_date) as first_on
    from features.activity_days as a
    inner join homes as h on a.customer_id = h.customer_id
    group by a.customer_id
),

works as (
    select
        a.customer_id,
        max_by(a.region_id, a.work_visits) filter (where a.work_visits > 0) as work_area,
        cast(max(a.work_visits) as bigint) as work_visits
    from features.areas as a
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

-- Rainy and dry days from each day to the end; a day without a figure is neither. A window's FILTER does not reach a cluster.
spans as (
    select
        city,
        weather_date,
        sum(case when rainy then 1 else 0 end) over later as rainy_days,
        sum(case when not rainy then 1 else 0 end) over later as dry_days
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
    inner join firsts as f on h.customer_id = f.customer_id
    inner join spans as s on h.city = s.city and f.first_on = s.weather_date
),

weather_visits as (
    select
        h.customer_id,
        count(*) filter (where w.rainy) as rainy_visits,
        count(*) filter (where not w.rainy) as dry_visits
    from homes as h
    inner join features.activity_days as a on h.customer_id = a.customer_id
    inner join weather as w on h.city = w.city and a.event_date = w.weather_date
    left join features.order_days as o on a.customer_id = o.customer_id and a.event_date = o.order_date
    where o.customer_id is null
    group by h.customer_id
)

select
    h.customer_id,
    h.home_area,
    h.home_visits,
    w.work_area,
    coalesce(w.work_visits, 0) as work_visits,
    h.mobile_visits,
    h.on_the_way_visits,
    d.store_km,
    e.rainy_days,
    e.dry_days,
    coalesce(v.rainy_visits, 0) as rainy_visits,
    coalesce(v.dry_visits, 0) as dry_visits
from homes as h
left join works as w on h.customer_id = w.customer_id
left join distances as d on h.home_area = d.region_id
left join exposures as e on h.customer_id = e.customer_id
left join weather_visits as v on h.customer_id = v.customer_id
