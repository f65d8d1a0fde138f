-- The rule tags of each customer; those meant for marketing only for who consents to it, NULL for others.
-- grain: customer_id
-- store: table
-- tag_life_cycle: dimension level (prospect, new, active, dormant, churned) | Life cycle | 生命周期
--    | none yet, first purchase under $new_days days ago, last under $dormant_days, under $churned_days, longer ago | needs orders
-- tag_dormant: dimension flag | Dormant | 沉睡 | the last purchase is $dormant_days days or more ago | needs orders
-- tag_channels: base level (none, online only, store only, online and store) | Channels bought in | 购买渠道
--    | the channels of all orders; unknown when no order names one | needs orders
-- tag_novelty_seeker: dimension flag | Novelty seeker | 尝鲜
--    | $novelty_products or more products on the market for under $new_product_days days bought in 30 days
--    | for marketing | needs orders, launches, consents
-- tag_hesitant: dimension flag | Hesitant | 犹豫
--    | $hesitant_views or more products viewed in 30 days and no order | for marketing | needs events, orders, consents
-- tag_marketing_consent: base flag | Marketing consent | 营销授权
--    | the latest decision grants marketing | needs consents | privacy ordinary
with
facts as (
    select
        customer_id,
        marketing_consent,
        recency_days,
        first_purchase_days,
        frequency,
        web_orders,
        app_orders,
        store_orders,
        new_products_30,
        views_30,
        orders_30
    from features.customers
)

select
    customer_id,
    marketing_consent,
    case
        when recency_days is null then 'prospect'
        when recency_days >= $churned_days then 'churned'
        when recency_days >= $dormant_days then 'dormant'
        when first_purchase_days < $new_days then 'new'
        else 'active'
    end as life_cycle,
    coalesce(recency_days >= $dormant_days, false) as dormant,
    case
        when frequency = 0 then 'none'
        when web_orders + app_orders + store_orders = 0 then null
        when store_orders = 0 then 'online only'
        when web_orders + app_orders = 0 then 'store only'
        else 'online and store'
    end as channels,
    case when marketing_consent then new_products_30 >= $novelty_products end as novelty_seeker,
    case when marketing_consent then views_30 >= $hesitant_views and orders_30 = 0 end as hesitant
from facts
