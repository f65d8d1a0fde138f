-- The rule tags of each customer; those meant for marketing only for who consents to it, NULL for others.
-- grain: customer_id
-- store: table
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
        discounted_share,
        new_products_30,
        favourite_category,
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
    case
        when marketing_consent
            then coalesce(discounted_share >= $discount_share and frequency >= $discount_orders, false)
    end as discount_seeker,
    case when marketing_consent then views_30 >= $hesitant_views and orders_30 = 0 end as hesitant,
    case when marketing_consent then favourite_category end as favourite_category
from facts
