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
                    'community_responder', community_responder,
                    'commuter', commuter,
                    'coupon_share', coupon_share,
                    'discount_response', discount_response,
                    'discount_seeker', discount_seeker,
                    'discount_share', discount_share,
                    'dormant', dormant,
                    'engaged_share', engaged_share,
                    'favourite_brand', favourite_brand,
                    'favourite_category', favourite_category,
                    'favourite_content', favourite_content,
                    'favourite_price_band', favourite_price_band,
                    'favourite_subcategory', favourite_subcategory,
                    'frequency_score', frequency_score,
                    'full_price_share', full_price_share,
                    'hesitant', hesitant,
                    'hesitation_bits', hesitation_bits,
                    'high_frequency', high_frequency,
                    'high_value_churned', high_value_churned,
                    'home_area', home_area,
                    'impulse_buyer', impulse_buyer,
                    'impulse_share', impulse_share,
                    'life_cycle', life_cycle,
                    'lookalike_lists', lookalike_lists,
                    'marketing_consent', marketing_consent,
                    'mean_sentiment', mean_sentiment,
                    'median_gap_days', median_gap_days,
                    'monetary_score', monetary_score,
                    'mood', mood,
                    'most_blamed_aspect', most_blamed_aspect,
                    'most_praised_aspect', most_praised_aspect,
                    'near_store', near_store,
                    'needs', needs,
                    'negative_share', negative_share,
                    'novelty_seeker', novelty_seeker,
                    'online_to_offline', online_to_offline,
                    'overdue', overdue,
                    'own_life_cycle', own_life_cycle,
                    'peak_hour', peak_hour,
                    'preferred_channel', preferred_channel,
                    'preferred_shop_channel', preferred_shop_channel,
                    'price_score', price_score,
                    'price_sensitive', price_sensitive,
                    'purchase_regularity', purchase_regularity,
                    'rain_ratio', rain_ratio,
                    'rainy_day', rainy_day,
                    'recency_score', recency_score,
                    'rfm_score', rfm_score,
                    'rfm_segment', rfm_segment,
                    'rfm_type', rfm_type,
                    'segment_name', segment_name,
                    'segment_silhouette', segment_silhouette,
                    'sessions', sessions,
                    'spending_level', spending_level,
                    'text_count', text_count,
                    'text_language', text_language,
                    'unhappy', unhappy,
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
