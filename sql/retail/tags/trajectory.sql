-- How customers come to buy: thinking it over, at once, in a store after a look online; and when they come.
-- grain: customer_id
-- store: table
-- why: what a customer does often or rarely is weighed as evidence, in bits: every case is as many times likelier for somebody of
--    the kind than for others as the settings say (Good 1985, Weight of Evidence), so that few cases prove nothing
-- tag_sessions: base number (0 to) | Sessions | 会话数 | visits of web and app that half an hour without anything separates
--    | needs events
-- tag_engaged_share: base number (0 to 1) | Engaged sessions | 互动会话占比
--    | the share of sessions over 10 seconds, or with a cart or an order | needs events
-- tag_hesitation_bits: dimension number (any) | Evidence of hesitation | 犹豫证据
--    | of stays on products that ended in the cart without an order ($hesitant_parks against $usual_parks), and of days before
--    orders that looked at what would be ordered ($hesitant_looks against $usual_looks) | for marketing
--    | needs events, orders, consents
-- tag_hesitant: dimension flag | Hesitant | 犹豫型
--    | evidence of hesitation of $hesitant_bits bits or more | for marketing | needs events, orders, consents
-- tag_impulse_share: dimension number (0 to 1) | Orders at once | 即时下单占比
--    | the share of orders on web and app placed within $impulse_seconds seconds of the first look that day | for marketing
--    | needs events, orders, consents
-- tag_impulse_buyer: dimension flag | Impulse buyer | 冲动型
--    | evidence of orders at once ($impulsive_orders against $usual_impulses) of $impulse_bits bits or more | for marketing
--    | needs events, orders, consents
-- tag_online_to_offline: dimension flag | Looks online, buys in a store | 线上看线下买
--    | a purchase in a store within $store_visit_days days of a look online | for marketing | needs events, orders, consents
-- tag_peak_hour: dimension level (any) | Peak hour of the week | 活跃高峰时段
--    | weekday and hour in which most sessions began, from $peak_sessions sessions on | for marketing | needs events, consents
with
weighed as (
    select
        customer_id,
        online_orders,
        quick_orders,
        parked * log2($hesitant_parks / $usual_parks)
        + (park_chances - parked) * log2((1.0 - $hesitant_parks) / (1.0 - $usual_parks))
        + days_looked_ahead * log2($hesitant_looks / $usual_looks)
        + (days_before_orders - days_looked_ahead) * log2((1.0 - $hesitant_looks) / (1.0 - $usual_looks))
            as hesitation_bits,
        quick_orders * log2($impulsive_orders / $usual_impulses)
        + (online_orders - quick_orders) * log2((1.0 - $impulsive_orders) / (1.0 - $usual_impulses)) as impulse_bits
    from features.considered
),

joined as (
    select
        c.customer_id,
        p.marketing,
        z.activity is not null as observed,
        case when z.activity is not null then coalesce(t.sessions, 0) end as sessions,
        t.engaged_sessions,
        coalesce(w.hesitation_bits, cast(z.activity as double)) as hesitation_bits,
        coalesce(w.impulse_bits, cast(z.activity as double)) as impulse_bits,
        w.online_orders,
        w.quick_orders,
        t.store_days_after_view,
        t.peak_week_hour
    from identity.persons as c
    cross join features.not_found as z
    inner join tags.purposes as p on c.customer_id = p.customer_id
    left join features.trajectory as t on c.customer_id = t.customer_id
    left join weighed as w on c.customer_id = w.customer_id
)

select
    customer_id,
    sessions,
    cast(engaged_sessions as double) / nullif(sessions, 0) as engaged_share,
    case when marketing then hesitation_bits end as hesitation_bits,
    case when marketing then hesitation_bits >= $hesitant_bits end as hesitant,
    case when marketing and observed then cast(quick_orders as double) / nullif(online_orders, 0) end as impulse_share,
    case when marketing then impulse_bits >= $impulse_bits end as impulse_buyer,
    case when marketing and observed then coalesce(store_days_after_view > 0, false) end as online_to_offline,
    case
        when marketing and sessions >= $peak_sessions
            then
                ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'][peak_week_hour / 24 + 1]
                || lpad(cast(peak_week_hour % 24 as varchar), 3, ' 0') || ':00'
    end as peak_hour
from joined
