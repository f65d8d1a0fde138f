-- In which channels each customer buys, and whether they consent to marketing.
-- grain: customer_id
-- store: table
-- tag_channels: base level (none, online only, store only, online and store) | Channels bought in | 购买渠道
--    | the channels of all orders; unknown when no order names one | needs orders
-- tag_marketing_consent: base flag | Marketing consent | 营销授权
--    | the latest decision grants marketing | needs consents | privacy ordinary
select
    c.customer_id,
    p.marketing as marketing_consent,
    case
        when c.frequency = 0 then 'none'
        when c.web_orders + c.app_orders + c.store_orders = 0 then null
        when c.store_orders = 0 then 'online only'
        when c.web_orders + c.app_orders = 0 then 'store only'
        else 'online and store'
    end as channels
from features.customers as c
inner join tags.purposes as p on c.customer_id = p.customer_id
