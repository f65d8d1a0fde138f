//! Whose words a text holds: of a dialogue with the service desk only the customer's count.

use std::borrow::Cow;

/// Who speaks for the shop, in lower case.
const STAFF: &str = "客服 商家 卖家 店家 店铺 店员 掌柜 小二 机器人 智能客服 人工客服 售后 售后客服 坐席 系统 agent support seller shop \
    store staff bot chatbot representative rep assistant advisor operator system service";
/// Who speaks for themselves.
const CUSTOMERS: &str = "客户 顾客 买家 用户 会员 我 customer client buyer user shopper caller me guest";
/// What is said for politeness in a dialogue and is no opinion.
const COURTESIES: &str = "好的 好 好吧 嗯 嗯嗯 哦 收到 知道了 明白了 谢谢 谢谢你 谢谢您 多谢 辛苦了 你好 您好 在吗 再见 麻烦了 可以 行 ok okay \
    yes no thanks hello hi bye fine alright sure great good right understood thx cheers";

fn is_of(words: &str, word: &str) -> bool {
    words.split_whitespace().any(|known| known == word)
}

/// The longest name of a speaker, in bytes.
const LONGEST: usize = 32;

/// The speaker of a line, in lower case, and what is said.
fn speaker(line: &str) -> Option<(String, &str)> {
    let (name, words) = line.split_once([':', '：'])?;
    (name.len() <= LONGEST).then(|| (name.trim().to_lowercase(), words))
}

fn is_courtesy(words: &str) -> bool {
    let bare = words.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    bare.is_empty() || is_of(COURTESIES, &bare) || bare == "thank you"
}

/// The customer's words: all of a text without speakers; of a dialogue, whose lines begin with a speaker and a colon, what the
/// customer says, without lines that are only polite. A line without a speaker goes on with the one before it.
pub(super) fn customer_words(text: &str) -> Cow<'_, str> {
    let known = |line: &str| {
        let (name, _) = speaker(line)?;
        if is_of(STAFF, &name) { Some(false) } else { is_of(CUSTOMERS, &name).then_some(true) }
    };
    if !text.lines().any(|line| known(line) == Some(true))
        && text.lines().filter(|l| known(l).is_some()).count() < 2
    {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    let mut heard = true;
    for line in text.lines() {
        let said = known(line);
        heard = said.unwrap_or(heard);
        let words = match said {
            Some(_) => speaker(line).map_or(line, |(_, words)| words),
            None => line,
        };
        if !heard || is_courtesy(words) {
            continue;
        }
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(words.trim());
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_customer_is_heard() {
        for (text, expected) in [
            ("质量很好", "质量很好"),
            ("价格：很贵", "价格：很贵"),
            ("客户：你好，质量太差了！\n客服：非常抱歉，祝您愉快。\n客户：好的", "你好，质量太差了！"),
            ("Customer: Hello, it broke.\nAgent: Great, thank you!\nCustomer: okay", "Hello, it broke."),
            (
                "Agent: How can I help?\nMe: it leaks\nand it smells\nAgent: sorry\nwe are sad",
                "it leaks\nand it smells",
            ),
            ("客服：您好\n客服：很高兴为您服务", ""),
        ] {
            assert_eq!(customer_words(text), expected, "{text}");
        }
    }
}
