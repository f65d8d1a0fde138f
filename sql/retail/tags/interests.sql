-- What each customer cares for, by rules; what is meant for marketing only for who consents to it, NULL for others.
-- grain: customer_id
-- store: table
select
    customer_id,
    marketing_consent,
    case
        when frequency = 0 then 'none'
        when web_orders + app_orders + store_orders = 0 then null
        when store_orders = 0 then 'online only'
        when web_orders + app_orders = 0 then 'store only'
        else 'online and store'
    end as channels,
    case
        when marketing_consent
            then coalesce(discounted_share >= $discount_share and frequency >= $discount_orders, false)
    end as discount_seeker,
    case when marketing_consent then views_30 >= $hesitant_views and orders_30 = 0 end as hesitant,
    case when marketing_consent then favourite_category end as favourite_category
from features.customers
