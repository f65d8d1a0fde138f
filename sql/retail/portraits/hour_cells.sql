-- In how many hours of the week the customers of each segment, and all (no family), were active on the web and in the app.
-- grain: family, segment, dow, hour
-- store: table
-- publish: none
-- why: counts hours of customers: one for each customer, day of the last `heat_map_days` and local hour with any event, on however
--    many devices; day 1 is Monday
with
-- Alike days of alike customers, each once.
patterns as (
    select
        p.profile,
        cast(date_part('isodow', d.event_date) as int) as dow,
        d.hours,
        count(*) as customer_days
    from features.activity_days as d
    inner join portraits.profiles as p on d.customer_id = p.customer_id
    where d.event_date >= local_date($as_of, $time_zone) - $heat_map_days
    group by p.profile, cast(date_part('isodow', d.event_date) as int), d.hours
),

clock as (
    select cast(unnest(range(0, 24)) as int) as hour
)

select
    s.family,
    s.segment,
    t.dow,
    c.hour,
    cast(sum(t.customer_days) as bigint) as customer_hours
from patterns as t
inner join portraits.profile_segments as s on t.profile = s.profile
cross join clock as c
where ((t.hours >> cast(c.hour as bigint)) & 1) > 0
group by s.family, s.segment, t.dow, c.hour
