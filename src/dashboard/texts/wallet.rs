//! The wallet, topping up, and letters about it.

texts! {
    TITLE = "Wallet", "Ví";
    LEAD = "Spent in this order: free credit, bonus credit, balance.", "Được trừ theo thứ tự: tín dụng miễn phí, tín dụng thưởng, số dư.";
    TOP_UP = "Top up", "Nạp tiền";
    CSV = "All as CSV", "Tải toàn bộ dạng CSV";
    LEDGER = "Ledger", "Sổ giao dịch";
    NO_ENTRIES = "Nothing has moved yet. Your first OTP or top-up will stand here.", "Chưa có giao dịch nào. OTP đầu tiên hoặc lần nạp tiền đầu tiên sẽ hiện ở đây.";
    WHEN = "When", "Thời điểm";
    WHAT = "What", "Nội dung";
    BUCKET = "From", "Nguồn";
    AMOUNT = "Amount", "Số tiền";
    AFTER = "In the wallet", "Tổng trong ví";
    BAD_PLACE = "This page of the ledger does not exist; here is the latest one.", "Không có trang sổ này; đây là trang mới nhất.";
    DEBIT = "OTP", "OTP";
    REFUND = "Refund", "Hoàn tiền";
    DEPOSIT = "Top-up", "Nạp tiền";
    GRANT = "Credit", "Tặng tín dụng";
    PAYOUT = "Paid out", "Chi trả";
    FORFEIT = "Forfeited", "Hết hiệu lực";
    CORRECTION = "Correction", "Điều chỉnh";
    COMMISSION = "Commission", "Hoa hồng";

    LOW_TITLE = "Low-balance notice", "Báo số dư thấp";
    LOW_LEAD = "Once the wallet falls below this, we tell you once: by the webhook event wallet.low and by e-mail.", "Khi ví xuống dưới mức này, chúng tôi báo cho bạn một lần: qua sự kiện webhook wallet.low và qua e-mail.";
    LOW_FIELD = "Tell me below (USD)", "Báo cho tôi khi dưới (USD)";
    LOW_HINT = "Empty: no notice.", "Để trống: không báo.";
    LOW_SAVED = "The notice is set.", "Đã lưu mức báo.";
    LOW_OFF = "You get no notice.", "Bạn sẽ không nhận thông báo.";
    AMOUNT_WRONG = "Write an amount in US dollars, such as 10.00.", "Hãy nhập số tiền bằng đô la Mỹ, ví dụ 10.00.";
    LOW_SUBJECT = "Your NEXO ROUTE wallet runs low", "Ví NEXO ROUTE của bạn sắp hết";
    LOW_LETTER = "Your wallet holds {total} USD, less than the {threshold} USD below which you want to be told.\n\nTop up here:\n{link}\n", "Ví của bạn còn {total} USD, thấp hơn mức {threshold} USD mà bạn muốn được báo.\n\nNạp tiền tại đây:\n{link}\n";

    TOP_UP_LEAD = "Say how much; you get a reference and a QR code for your bank's app.", "Chọn số tiền; bạn sẽ nhận mã tham chiếu và mã QR cho ứng dụng ngân hàng.";
    TOP_UP_BY_HAND = "Say how much; you get a reference. Write to us with it and we arrange the payment.", "Chọn số tiền; bạn sẽ nhận mã tham chiếu. Hãy gửi mã đó cho chúng tôi để sắp xếp thanh toán.";
    TOP_UP_AMOUNT = "Amount in USD", "Số tiền (USD)";
    TOP_UP_HINT = "At least {least} USD. One dollar is {rate} VND.", "Tối thiểu {least} USD. Một đô la là {rate} VND.";
    TOP_UP_WRONG = "A top-up is at least {least} USD and at most {most} USD.", "Mỗi lần nạp tối thiểu {least} USD và tối đa {most} USD.";
    TOO_MANY = "You have {count} open top-ups: pay or withdraw one first.", "Bạn đang có {count} yêu cầu nạp chưa hoàn tất: hãy thanh toán hoặc hủy bớt.";
    WAY = "How", "Cách thanh toán";
    BANK_TRANSFER = "Bank transfer (VietQR)", "Chuyển khoản (VietQR)";
    BY_HAND = "Arranged with us", "Sắp xếp với chúng tôi";
    DO_OPEN = "Continue", "Tiếp tục";
    DEPOSITS = "Your top-ups", "Các lần nạp tiền";
    REFERENCE = "Reference", "Mã tham chiếu";
    STATE = "State", "Trạng thái";
    OPEN = "waits for your payment", "chờ thanh toán";
    CREDITED = "credited", "đã ghi có";
    REFUSED = "withdrawn", "đã hủy";
    PAY_TITLE = "Top up {amount} USD", "Nạp {amount} USD";
    PAY_LEAD = "Scan the code with your bank's app, or transfer exactly this amount with exactly this reference. It is credited as soon as the bank tells us.", "Quét mã bằng ứng dụng ngân hàng, hoặc chuyển đúng số tiền với đúng mã tham chiếu. Tiền được ghi có ngay khi ngân hàng báo cho chúng tôi.";
    PAY_BY_HAND = "Write to us with this reference. It is credited as soon as we see the payment.", "Hãy gửi mã tham chiếu này cho chúng tôi. Tiền được ghi có ngay khi chúng tôi nhận được thanh toán.";
    PAID_LEAD = "This top-up was credited: {credited} USD.", "Đã ghi có {credited} USD.";
    GONE_LEAD = "This top-up was withdrawn or refused. Open another one if you want to pay.", "Yêu cầu nạp này đã bị hủy hoặc từ chối. Hãy mở yêu cầu mới nếu bạn muốn thanh toán.";
    QR_ALT = "VietQR code of this transfer", "Mã VietQR của giao dịch này";
    PAY_AMOUNT = "Amount", "Số tiền";
    BANK = "Bank (BIN)", "Ngân hàng (BIN)";
    ACCOUNT_NUMBER = "Account number", "Số tài khoản";
    HOLDER = "Account holder", "Chủ tài khoản";
    MEMO = "Reference to write", "Nội dung chuyển khoản";
    WITHDRAW = "Withdraw this top-up", "Hủy yêu cầu này";
}
