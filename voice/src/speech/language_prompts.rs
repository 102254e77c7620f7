//! The prompts of one language.

/// The prompts of one language, encoded or as samples.
#[derive(Clone, Copy)]
pub(super) struct LanguagePrompts<A> {
    /// "Press any key to hear your code."
    pub press_key: A,
    pub greeting: A,
    pub again: A,
    pub goodbye: A,
    pub digits: [A; 10],
    pub slow_digits: [A; 10],
}

impl<A> LanguagePrompts<A> {
    /// Loads each prompt by its name, which is also its file name.
    pub fn load<E>(mut prompt: impl FnMut(&str) -> Result<A, E>) -> Result<Self, E> {
        Ok(LanguagePrompts {
            press_key: prompt("press-key")?,
            greeting: prompt("greeting")?,
            again: prompt("again")?,
            goodbye: prompt("goodbye")?,
            digits: ten(|digit| prompt(&digit.to_string()))?,
            slow_digits: ten(|digit| prompt(&format!("slow-{digit}")))?,
        })
    }

    /// Calls `visit` with each prompt and its name.
    pub fn try_for_each<E>(
        &self,
        mut visit: impl FnMut(&str, &A) -> Result<(), E>,
    ) -> Result<(), E> {
        visit("press-key", &self.press_key)?;
        visit("greeting", &self.greeting)?;
        visit("again", &self.again)?;
        visit("goodbye", &self.goodbye)?;
        for digit in 0..10 {
            visit(&digit.to_string(), &self.digits[digit])?;
            visit(&format!("slow-{digit}"), &self.slow_digits[digit])?;
        }
        Ok(())
    }

    pub fn map<B>(&self, change: impl Fn(&A) -> B) -> LanguagePrompts<B> {
        LanguagePrompts {
            press_key: change(&self.press_key),
            greeting: change(&self.greeting),
            again: change(&self.again),
            goodbye: change(&self.goodbye),
            digits: self.digits.each_ref().map(&change),
            slow_digits: self.slow_digits.each_ref().map(&change),
        }
    }
}

fn ten<A, E>(mut one: impl FnMut(u8) -> Result<A, E>) -> Result<[A; 10], E> {
    Ok([one(0)?, one(1)?, one(2)?, one(3)?, one(4)?, one(5)?, one(6)?, one(7)?, one(8)?, one(9)?])
}
