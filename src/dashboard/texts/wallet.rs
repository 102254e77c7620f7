//! The wallet, top-ups, and the low-balance e-mail.

texts! {
    TITLE = "Wallet", "Ví";
    LEAD = "Spent in this order: free credit, bonus credit, balance.", "Trừ theo thứ tự: tín dụng miễn phí, tín dụng thưởng, số dư.";
    TOP_UP = "Top up", "Nạp tiền";
    CSV = "Download CSV", "Tải CSV";
    LEDGER = "Ledger", "Lịch sử giao dịch";
    NO_ENTRIES = "No transactions yet. Your OTPs and top-ups will appear here.", "Chưa có giao dịch nào. OTP và các lần nạp tiền sẽ hiển thị ở đây.";
    WHEN = "Time", "Thời gian";
    WHAT = "Description", "Nội dung";
    BUCKET = "Source", "Nguồn tiền";
    AMOUNT = "Amount", "Số tiền";
    AFTER = "Wallet total", "Tổng trong ví";
    WRONG_CURSOR = "This page of the ledger does not exist. The latest entries are shown instead.", "Trang này không tồn tại. Dưới đây là các giao dịch mới nhất.";
    DEBIT = "OTP", "OTP";
    REFUND = "Refund", "Hoàn tiền";
    DEPOSIT = "Top-up", "Nạp tiền";
    GRANT = "Credit", "Tặng tín dụng";
    PAYOUT = "Payout", "Chi trả";
    FORFEIT = "Forfeited", "Hết hiệu lực";
    CORRECTION = "Correction", "Điều chỉnh";
    COMMISSION = "Commission", "Hoa hồng";
    FOR_SIGN_UP = "for signing up", "khi đăng ký";

    LOW_TITLE = "Low-balance notice", "Cảnh báo số dư thấp";
    LOW_LEAD = "When the wallet falls below this amount, we notify you once, by the webhook event wallet.low and by e-mail.", "Khi ví xuống dưới mức này, chúng tôi thông báo cho bạn một lần qua sự kiện webhook wallet.low và e-mail.";
    LOW_FIELD = "Notify me below (USD)", "Thông báo khi dưới (USD)";
    LOW_HINT = "Leave empty to turn the notice off.", "Để trống để tắt cảnh báo.";
    LOW_SAVED = "Low-balance notice saved.", "Đã lưu mức cảnh báo.";
    LOW_OFF = "The low-balance notice is off.", "Đã tắt cảnh báo số dư thấp.";
    AMOUNT_WRONG = "Enter an amount in US dollars, such as 10.00.", "Hãy nhập số tiền bằng đô la Mỹ, ví dụ 10,00.";
    LOW_SUBJECT = "Your NEXO ROUTE wallet is low", "Ví NEXO ROUTE của bạn sắp hết";
    LOW_EMAIL = "Your wallet holds {total}, less than your threshold of {threshold}.\n\nTop up here:\n{link}\n", "Ví của bạn còn {total}, thấp hơn mức cảnh báo {threshold}.\n\nNạp tiền tại đây:\n{link}\n";

    TOP_UP_LEAD = "Enter an amount. You get a reference and a QR code for your banking app.", "Nhập số tiền. Bạn sẽ nhận mã tham chiếu và mã QR cho ứng dụng ngân hàng.";
    TOP_UP_BY_HAND = "Enter an amount. You get a reference; send it to us and we arrange the payment.", "Nhập số tiền. Bạn sẽ nhận mã tham chiếu; hãy gửi mã đó cho chúng tôi để thu xếp thanh toán.";
    TOP_UP_AMOUNT = "Amount in USD", "Số tiền (USD)";
    TOP_UP_HINT = "At least {least}. 1 USD = {rate}.", "Tối thiểu {least}. 1 USD = {rate}.";
    TOP_UP_WRONG = "A top-up is at least {least} and at most {most}.", "Mỗi lần nạp tối thiểu {least} và tối đa {most}.";
    TOO_MANY = "You have {count} open top-ups. Pay or cancel one first.", "Bạn đang có {count} yêu cầu nạp chưa hoàn tất. Hãy thanh toán hoặc hủy bớt một yêu cầu.";
    PAYMENT_METHOD = "Payment method", "Phương thức thanh toán";
    BANK_TRANSFER = "Bank transfer (VietQR)", "Chuyển khoản (VietQR)";
    BY_HAND = "By arrangement", "Theo thỏa thuận";
    DO_OPEN = "Continue", "Tiếp tục";
    DEPOSITS = "Your top-ups", "Các lần nạp tiền";
    REFERENCE = "Reference", "Mã tham chiếu";
    STATE = "Status", "Trạng thái";
    OPEN = "awaiting payment", "chờ thanh toán";
    CREDITED = "credited", "đã ghi có";
    CANCELLED = "cancelled", "đã hủy";
    PAY_TITLE = "Top up {amount}", "Nạp {amount}";
    PAY_LEAD = "Scan the code with your banking app, or transfer exactly this amount with exactly this reference. It is credited as soon as your bank confirms the transfer.", "Quét mã bằng ứng dụng ngân hàng, hoặc chuyển khoản đúng số tiền với đúng nội dung bên dưới. Tiền được ghi có ngay khi ngân hàng xác nhận.";
    PAY_BY_HAND = "Contact us with this reference. The top-up is credited as soon as we receive the payment.", "Hãy liên hệ với chúng tôi kèm mã tham chiếu này. Tiền được ghi có ngay khi chúng tôi nhận được thanh toán.";
    PAID_LEAD = "This top-up was credited: {credited}.", "Đã ghi có {credited}.";
    CANCELLED_LEAD = "This top-up was cancelled or refused. Open a new one to pay.", "Yêu cầu nạp này đã bị hủy hoặc từ chối. Hãy tạo yêu cầu mới để thanh toán.";
    QR_ALT = "VietQR code of this transfer", "Mã VietQR của giao dịch này";
    BANK = "Bank", "Ngân hàng";
    ACCOUNT_NUMBER = "Account number", "Số tài khoản";
    HOLDER = "Account holder", "Chủ tài khoản";
    MEMO = "Transfer reference", "Nội dung chuyển khoản";
    CANCEL = "Cancel this top-up", "Hủy yêu cầu nạp";
    CANCEL_TITLE = "Cancel this top-up?", "Hủy yêu cầu nạp này?";
    CANCEL_TEXT = "A transfer with this reference is then no longer credited automatically. Do not cancel it if you have already paid.", "Khi đó, khoản chuyển với mã tham chiếu này sẽ không được ghi có tự động nữa. Nếu bạn đã chuyển tiền, đừng hủy.";
}
