-- One row per customer and tag that has a value: the tags of `customer_360`, long.
-- grain: as_of, customer_id, tag
-- store: table
-- publish: as_of
-- why: every tag that some stage's header declares must stand in the list below, under its name; `strata check` refuses one that
--    is missing. `number` is the value of a number; elements of a list stand in `value` with commas between
with
listed as (
    select
        customer_id,
        unnest(
            named_values(
                named_struct(
                    'buyer_grade', buyer_grade,
                    'channels', channels,
                    'commuter', commuter,
                    'discount_seeker', discount_seeker,
                    'dormant', dormant,
                    'engaged_share', engaged_share,
                    'favourite_category', favourite_category,
                    'frequency_score', frequency_score,
                    'hesitant', hesitant,
                    'hesitation_bits', hesitation_bits,
                    'high_frequency', high_frequency,
                    'high_value_churned', high_value_churned,
                    'home_area', home_area,
                    'impulse_buyer', impulse_buyer,
                    'impulse_share', impulse_share,
                    'life_cycle', life_cycle,
                    'marketing_consent', marketing_consent,
                    'median_gap_days', median_gap_days,
                    'monetary_score', monetary_score,
                    'near_store', near_store,
                    'novelty_seeker', novelty_seeker,
                    'online_to_offline', online_to_offline,
                    'overdue', overdue,
                    'own_life_cycle', own_life_cycle,
                    'peak_hour', peak_hour,
                    'purchase_regularity', purchase_regularity,
                    'rain_ratio', rain_ratio,
                    'rainy_day', rainy_day,
                    'recency_score', recency_score,
                    'rfm_score', rfm_score,
                    'rfm_segment', rfm_segment,
                    'rfm_type', rfm_type,
                    'sessions', sessions,
                    'spending_level', spending_level,
                    'value_tier', value_tier,
                    'work_area', work_area
                ),
                $tags
            )
        ) as one
    from segments.customer_360
)

select
    $as_of as as_of,
    customer_id,
    one['name'] as tag,
    one['value'] as value,
    one['number'] as number
from listed
