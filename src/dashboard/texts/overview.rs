//! The overview.

texts! {
    TITLE = "Overview", "Tổng quan";
    TOTAL = "In your wallet", "Trong ví của bạn";
    FREE = "Free credit", "Tín dụng miễn phí";
    BONUS = "Bonus credit", "Tín dụng thưởng";
    BALANCE = "Balance", "Số dư";
    ENOUGH_FOR = "enough for {count} OTPs", "đủ cho {count} OTP";
}
