-- What each customer cares for, by rules; what is meant for marketing only for who consents to it, NULL for others.
-- grain: customer_id
-- store: table
-- tag_channels: base level (none, online only, store only, online and store) | Channels bought in | 购买渠道
--    | the channels of all orders; unknown when no order names one | needs orders
-- tag_discount_seeker: dimension flag | Discount seeker | 折扣偏好
--    | at least $discount_orders orders, a share of $discount_share or more of them discounted | for marketing
--    | needs orders, consents
-- tag_favourite_category: base level (any) | Favourite category | 最爱品类
--    | the known category of the largest amount | for marketing | needs orders, categories, consents
-- tag_marketing_consent: base flag | Marketing consent | 营销授权
--    | the latest decision grants marketing | needs consents | privacy ordinary
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
    case when marketing_consent then favourite_category end as favourite_category
from features.customers
