-- The segments that rules make, family by family, with their names in English and in Chinese.
-- store: view
-- why: segments that a model learns have numbers, and their names come from the model
select
    family,
    segment,
    name_en,
    name_zh
from (
    values
    ('rfm', 'important value', 'important value', '重要价值客户'),
    ('rfm', 'important development', 'important development', '重要发展客户'),
    ('rfm', 'important retention', 'important retention', '重要保持客户'),
    ('rfm', 'important win-back', 'important win-back', '重要挽留客户'),
    ('rfm', 'general value', 'general value', '一般价值客户'),
    ('rfm', 'general development', 'general development', '一般发展客户'),
    ('rfm', 'general retention', 'general retention', '一般保持客户'),
    ('rfm', 'general win-back', 'general win-back', '一般挽留客户'),
    ('life_cycle', 'prospect', 'prospect', '潜在客户'),
    ('life_cycle', 'new', 'new', '新客户'),
    ('life_cycle', 'active', 'active', '活跃客户'),
    ('life_cycle', 'dormant', 'dormant', '沉睡客户'),
    ('life_cycle', 'churned', 'churned', '流失客户'),
    ('life_cycle', 'won back', 'won back', '回流客户'),
    ('own_life_cycle', 'prospect', 'prospect', '潜在客户'),
    ('own_life_cycle', 'new', 'new', '新客户'),
    ('own_life_cycle', 'active', 'active', '活跃客户'),
    ('own_life_cycle', 'dormant', 'dormant', '沉睡客户'),
    ('own_life_cycle', 'churned', 'churned', '流失客户'),
    ('own_life_cycle', 'won back', 'won back', '回流客户'),
    ('value_tier', 'head', 'head', '头部客户'),
    ('value_tier', 'potential', 'potential', '潜力客户'),
    ('value_tier', 'long tail', 'long tail', '长尾客户'),
    ('spending_level', 'lowest', 'lowest', '最低消费'),
    ('spending_level', 'low', 'low', '较低消费'),
    ('spending_level', 'middle', 'middle', '中等消费'),
    ('spending_level', 'high', 'high', '较高消费'),
    ('spending_level', 'highest', 'highest', '最高消费'),
    ('buyer_grade', 'one-time', 'one-time', '一次客户'),
    ('buyer_grade', 'repeat', 'repeat', '复购客户'),
    ('buyer_grade', 'regular', 'regular', '常客'),
    ('buyer_grade', 'loyal', 'loyal', '忠诚客户')
) as made (family, segment, name_en, name_zh)
