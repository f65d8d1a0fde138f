-- Where customers live and work as a coarse area, whether they commute, live near a store, or come when it rains.
-- grain: customer_id
-- store: table
-- why: tracks of places are sensitive: each of these tags is for who granted location, and an area is named only where
--    at least `$min_crowd` such customers share it. The rate ratio is that of days with visits on rainy against dry days, half a
--    visit added to both, its interval the log-normal one (Rothman, Modern Epidemiology)
-- tag_home_area: dimension level (any) | Home area | 居住区域
--    | the zone of most visits outside working hours, from $area_visits visits on, where $min_crowd customers or more live | for location
--    | needs events, regions, consents | privacy sensitive
-- tag_work_area: dimension level (any) | Work area | 工作区域
--    | the zone of most working hours apart from home, from $area_visits visits on, where $min_crowd customers or more work
--    | for location | needs events, regions, devices, consents | privacy sensitive
-- tag_commuter: dimension flag | Commuter | 通勤族
--    | evidence of being at a station on the way to and from work ($commuting_visits of visits on working days against $usual_commutes) of
--    $commuter_bits bits or more | for location | needs events, regions, devices, consents | privacy sensitive
-- tag_near_store: dimension flag | Near a store | 门店周边
--    | the home area lies within $near_store_km km of a store | for location | needs events, regions, stores, consents
--    | privacy sensitive
-- tag_rain_ratio: dimension number (0 to) | Visits on rainy against dry days | 雨天活跃比
--    | how many times as often they come on days of $rain_mm mm or more | for location
--    | needs events, regions, weather, consents | privacy sensitive
-- tag_rainy_day: dimension flag | Comes when it rains | 雨天活跃
--    | the lower bound of that ratio, $rain_z standard errors below it, is above 1 | for location
--    | needs events, regions, weather, consents | privacy sensitive
with
known as (
    select
        p.customer_id,
        case when p.home_visits >= $area_visits then p.home_area end as home_area,
        case when p.work_visits >= $area_visits then p.work_area end as work_area,
        p.store_km,
        case
            when p.mobile_visits > 0
                then
                    p.on_the_way_visits * log2($commuting_visits / $usual_commutes)
                    + (p.mobile_visits - p.on_the_way_visits) * log2((1.0 - $commuting_visits) / (1.0 - $usual_commutes))
        end as commuter_bits,
        case
            when p.rainy_days > 0 and p.dry_days > 0
                then
                    (p.rainy_visits + 0.5) / p.rainy_days / ((p.dry_visits + 0.5) / p.dry_days)
        end as rain_ratio,
        sqrt(1.0 / (p.rainy_visits + 0.5) + 1.0 / (p.dry_visits + 0.5)) as rain_error
    from features.places as p
    inner join tags.purposes as a on p.customer_id = a.customer_id
    where a.location
),

home_crowds as (
    select
        home_area,
        count(*) as customers
    from known
    group by home_area
),

work_crowds as (
    select
        work_area,
        count(*) as customers
    from known
    group by work_area
)

select
    c.customer_id,
    case when h.customers >= $min_crowd then k.home_area end as home_area,
    case when w.customers >= $min_crowd then k.work_area end as work_area,
    k.commuter_bits >= $commuter_bits as commuter,
    case when h.customers >= $min_crowd then k.store_km <= $near_store_km end as near_store,
    k.rain_ratio,
    ln(k.rain_ratio) - $rain_z * k.rain_error > 0.0 as rainy_day
from identity.persons as c
left join known as k on c.customer_id = k.customer_id
left join home_crowds as h on k.home_area = h.home_area
left join work_crowds as w on k.work_area = w.work_area
