//! What people write about products: phrases by language, aspect and sentiment.

/// What a text praises or blames, as in `truth/texts`.
pub const ASPECTS: [&str; 6] = ["quality", "price", "delivery", "service", "fit", "packaging"];
/// How, as in `truth/texts`.
pub const SENTIMENTS: [&str; 3] = ["positive", "negative", "neutral"];

/// Phrases of one language: by aspect and sentiment.
pub type Phrases = [[[&'static str; 4]; 3]; 6];

/// Chinese.
pub const CHINESE: Phrases = [
    [
        ["质量非常好", "做工很精细，没有瑕疵", "用了一个月，一点都不差", "材质比想象的好，很满意"],
        ["质量太差了", "用了两天就坏了", "做工粗糙，到处是线头", "一点也不耐用，很失望"],
        ["质量还行，一般般", "做工中规中矩", "质量跟上次买的差不多", "材质和图片一样"],
    ],
    [
        ["价格很实惠", "性价比超高，太划算了", "活动价真不贵，值", "便宜又好用，推荐"],
        ["价格太贵了，不值", "刚买就降价，感觉被坑了", "性价比很低", "比别家贵了不少，后悔"],
        ["价格正常", "价格不高也不低", "跟店里一个价", "按原价买的"],
    ],
    [
        ["物流很快，第二天就到", "快递小哥送货上门，很方便", "发货速度惊人，点赞", "比预计早到两天"],
        ["物流太慢，等了十天", "快递丢件，没人管", "一直不发货，催了好几次", "送错地址，耽误事"],
        ["三天到的，正常速度", "快递放在驿站了", "物流按时到", "分两个包裹发的"],
    ],
    [
        ["客服态度很好，耐心解答", "售后处理得又快又好", "问什么都秒回，很贴心", "换货很顺利，服务没得说"],
        ["客服爱答不理，态度恶劣", "售后推来推去，不给退", "问了半天没人回", "说好的赠品没给，骗人"],
        ["问了客服，按流程办的", "客服说要等通知", "打过一次客服电话", "没联系过客服"],
    ],
    [
        ["尺寸刚好，很合身", "大小正合适，穿着舒服", "尺码标准，没有买错", "放在家里正好，很搭"],
        ["尺码偏小，根本穿不了", "大小和描述不符", "尺寸不对，装不上", "版型奇怪，很不合适"],
        ["按平时尺码买的", "尺寸跟页面写的一样", "大小还可以", "比上一款略大一点"],
    ],
    [
        ["包装很精美，送人有面子", "包装严实，一点没坏", "盒子很漂亮，用心了", "里三层外三层，很放心"],
        ["包装破了，东西都压坏了", "盒子烂了，漏了一半", "包装太简陋，像二手的", "没有密封，不敢用"],
        ["普通纸箱包装", "包装换了新的", "没有礼盒，简单包装", "包装和以前一样"],
    ],
];

/// English.
pub const ENGLISH: Phrases = [
    [
        [
            "the quality is excellent",
            "very well made, not a single flaw",
            "a month in and it is not bad at all",
            "solid materials, really happy with it",
        ],
        [
            "the quality is terrible",
            "it broke after two days",
            "poorly made, loose threads everywhere",
            "not durable at all, disappointed",
        ],
        [
            "the quality is average",
            "workmanship is what you would expect",
            "same quality as the last one",
            "the material matches the picture",
        ],
    ],
    [
        [
            "great price",
            "amazing value for money",
            "on sale it was a real bargain",
            "cheap and works well, recommended",
        ],
        [
            "far too expensive, not worth it",
            "the price dropped the day after, I feel cheated",
            "poor value for money",
            "other shops are much cheaper, I regret it",
        ],
        [
            "normal price",
            "neither cheap nor expensive",
            "same price as in the store",
            "bought it at full price",
        ],
    ],
    [
        [
            "fast delivery, arrived the next day",
            "the courier brought it to the door, very convenient",
            "shipping was impressively quick",
            "came two days earlier than promised",
        ],
        [
            "delivery took ten days, far too slow",
            "the parcel got lost and nobody cares",
            "still not shipped after three reminders",
            "delivered to the wrong address",
        ],
        [
            "arrived in three days as usual",
            "the parcel was left at the pick-up point",
            "delivered on time",
            "came in two parcels",
        ],
    ],
    [
        [
            "customer service was patient and helpful",
            "my claim was handled quickly and kindly",
            "they answer within seconds, lovely",
            "the exchange went smoothly",
        ],
        [
            "customer service was rude",
            "they refuse the refund and pass me around",
            "nobody ever replies",
            "the promised gift never came, liars",
        ],
        [
            "asked support, they followed the procedure",
            "support told me to wait",
            "called the hotline once",
            "had no contact with support",
        ],
    ],
    [
        [
            "fits perfectly",
            "just the right size and comfortable",
            "true to size, no mistake",
            "it goes very well with my room",
        ],
        [
            "far too small, cannot wear it",
            "the size does not match the description",
            "wrong dimensions, it cannot be mounted",
            "strange cut, does not suit me",
        ],
        [
            "ordered my usual size",
            "the size is as stated on the page",
            "the size is okay",
            "a bit larger than the last one",
        ],
    ],
    [
        [
            "beautifully wrapped, a perfect gift",
            "packed so well that nothing was damaged",
            "lovely box, somebody cares",
            "layers of padding, very reassuring",
        ],
        [
            "the box was torn and everything crushed",
            "half of it had leaked",
            "shabby packaging, looks second-hand",
            "the seal was broken, I dare not use it",
        ],
        [
            "plain cardboard box",
            "they changed the packaging",
            "no gift box, simple wrapping",
            "packed as always",
        ],
    ],
];

/// Words before the first phrase; half of the texts have none.
pub const OPENERS: [[&str; 6]; 2] = [
    ["", "", "", "说一下，", "买了一周，", "朋友推荐的，"],
    ["", "", "", "Well, ", "After a week: ", "A friend told me about it; "],
];

/// Between two phrases that agree, and between two that do not.
pub const JOINTS: [[&str; 2]; 2] = [["，而且", "，不过"], [", and ", ", but "]];

/// Words after the last phrase.
pub const CLOSERS: [[&str; 4]; 2] = [["。", "！", "", "～"], [".", "!", "", " :)"]];

/// A dialogue around the customer's words: before, after, and how it ends.
pub const DIALOGUE: [[&str; 3]; 2] = [
    ["客户：你好，", "\n客服：您好，已经为您记录，请稍等。", "\n客户：好的"],
    ["Customer: Hello, ", "\nAgent: Thank you, I have taken a note of it.", "\nCustomer: okay"],
];
