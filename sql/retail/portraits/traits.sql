-- What each customer is portrayed by: a record of traits, each a text, a flag or unknown.
-- store: view
-- why: the one place that says which traits there are; a new one is one line of the record. A tag that needs a consent is
--    unknown of who did not give it, so portraits count those only who did
with
described as (
    select
        c.customer_id,
        p.gender,
        -- years since the birth date; who was born on a leap day is a year older on 1 March of other years
        date_part('year', local_date($as_of, $time_zone)) - date_part('year', p.birth_date)
        - case
            when
                date_part('month', local_date($as_of, $time_zone)) * 100 + date_part('day', local_date($as_of, $time_zone))
                < date_part('month', p.birth_date) * 100 + date_part('day', p.birth_date)
                then 1
            else 0
        end as age,
        p.region,
        c.segment_name,
        c.rfm_type,
        c.rfm_segment,
        c.life_cycle,
        c.own_life_cycle,
        c.value_tier,
        c.spending_level,
        c.buyer_grade,
        c.dormant,
        c.channels,
        c.favourite_category,
        c.peak_hour,
        c.favourite_brand,
        c.favourite_price_band,
        c.favourite_content,
        c.preferred_shop_channel,
        c.preferred_channel,
        c.text_language,
        c.mood,
        c.most_praised_aspect,
        c.most_blamed_aspect,
        c.community_responder,
        c.price_sensitive,
        c.unhappy,
        c.overdue,
        c.high_frequency,
        c.high_value_churned,
        c.novelty_seeker,
        c.discount_seeker,
        c.hesitant,
        c.impulse_buyer,
        c.online_to_offline,
        c.commuter,
        c.near_store,
        c.rainy_day,
        c.marketing_consent,
        c.frequency,
        c.avg_order_value,
        c.tenure_days
    from segments.customer_360 as c
    inner join identity.persons as p on c.customer_id = p.customer_id
)

select
    customer_id,
    named_struct(
        'gender', gender,
        'age_group', case
            when age not between 0 and 120 then null
            when age < 18 then 'under 18'
            when age < 25 then '18-24'
            when age < 35 then '25-34'
            when age < 45 then '35-44'
            when age < 55 then '45-54'
            when age < 65 then '55-64'
            when age >= 65 then '65 and over'
        end,
        'region', case region
            when '华北' then 'North China'
            when '东北' then 'Northeast China'
            when '华东' then 'East China'
            when '华中' then 'Central China'
            when '华南' then 'South China'
            when '西南' then 'Southwest China'
            when '西北' then 'Northwest China'
            when '海外' then 'Overseas'
            else region
        end,
        'behaviour', segment_name,
        'rfm_type', rfm_type,
        'rfm_segment', rfm_segment,
        'life_cycle', life_cycle,
        'own_life_cycle', own_life_cycle,
        'value_tier', value_tier,
        'spending_level', spending_level,
        'buyer_grade', buyer_grade,
        'purchase_count', case
            when frequency = 0 then '0'
            when frequency = 1 then '1'
            when frequency <= 3 then '2-3'
            when frequency <= 6 then '4-6'
            when frequency <= 12 then '7-12'
            when frequency > 12 then '13 and more'
        end,
        'order_value', case
            when avg_order_value < $portrait_low_order then 'low'
            when avg_order_value < $portrait_high_order then 'middle'
            when avg_order_value >= $portrait_high_order then 'high'
        end,
        'tenure', case
            when tenure_days < 90 then 'under 3 months'
            when tenure_days < 365 then '3 to 12 months'
            when tenure_days < 1095 then '1 to 3 years'
            when tenure_days >= 1095 then '3 years and more'
        end,
        'favourite_category', favourite_category,
        'channels', channels,
        'favourite_brand', favourite_brand,
        'favourite_price_band', favourite_price_band,
        'favourite_content', favourite_content,
        'preferred_shop_channel', preferred_shop_channel,
        'preferred_channel', preferred_channel,
        'text_language', text_language,
        'mood', mood,
        'most_praised_aspect', most_praised_aspect,
        'most_blamed_aspect', most_blamed_aspect,
        'peak_day', left(peak_hour, 3),
        'peak_time', case
            when right(peak_hour, 5) < '06:00' then '0-6'
            when right(peak_hour, 5) < '12:00' then '6-12'
            when right(peak_hour, 5) < '18:00' then '12-18'
            when right(peak_hour, 5) >= '18:00' then '18-24'
        end,
        'dormant', dormant,
        'overdue', overdue,
        'high_frequency', high_frequency,
        'high_value_churned', high_value_churned,
        'novelty_seeker', novelty_seeker,
        'discount_seeker', discount_seeker,
        'hesitant', hesitant,
        'impulse_buyer', impulse_buyer,
        'online_to_offline', online_to_offline,
        'commuter', commuter,
        'near_store', near_store,
        'rainy_day', rainy_day,
        'community_responder', community_responder,
        'price_sensitive', price_sensitive,
        'unhappy', unhappy,
        'marketing_consent', marketing_consent
    ) as traits
from described
