//! Referrals and payouts, as the referrer sees them.

texts! {
    TITLE = "Referrals", "Giới thiệu";
    LEAD = "You earn 10% of the price of each delivered OTP of the accounts you refer, for as long as they exist.", "Bạn nhận 10\u{a0}% giá mỗi OTP thành công của các tài khoản bạn giới thiệu, chừng nào tài khoản còn tồn tại.";
    LINK = "Your link", "Liên kết của bạn";
    LINK_HINT = "Anyone who opens any page with this link and signs up within 90 days counts as your referral. The Vietnamese page is at {link}", "Người mở bất kỳ trang nào qua liên kết này và đăng ký trong vòng 90 ngày được tính là do bạn giới thiệu. Trang tiếng Anh: {link}";
    REFERRED_ACCOUNTS = "Referred accounts", "Tài khoản được giới thiệu";
    PENDING = "Pending", "Chờ chi trả";
    ACCRUED = "Total earned", "Tổng hoa hồng";
    PAID = "Paid out", "Đã chi trả";
    PENDING_MORE = "paid out monthly", "chi trả hằng tháng";
    ACCOUNT = "Account", "Tài khoản";
    SINCE = "Since", "Đăng ký lúc";
    STATE = "Status", "Trạng thái";
    ACTIVE = "active", "đang hiệu lực";
    ENDED = "ended", "đã kết thúc";
    REVOKED = "revoked", "bị thu hồi";
    NO_REFERRALS = "No referrals yet. Share your link where developers will see it.", "Chưa có lượt giới thiệu nào. Hãy chia sẻ liên kết ở nơi các lập trình viên sẽ thấy.";
    COMMISSIONS = "Recent commissions", "Hoa hồng gần đây";
    WHEN = "Time", "Thời gian";
    WHAT = "Type", "Loại";
    AMOUNT = "Amount", "Số tiền";
    COMMISSION = "Commission", "Hoa hồng";
    REVOCATION = "Revocation", "Thu hồi";
    PAYOUT = "Payout", "Chi trả";
    PAYOUTS = "Payouts", "Các lần chi trả";
    MONTH = "Month", "Tháng";
    TO = "Paid to", "Nơi nhận";
    SENT = "sent", "đã chuyển";
    TO_BE_SENT = "processing", "đang xử lý";
    NO_PAYOUT = "No payouts yet.", "Chưa có lần chi trả nào.";
    WALLET_TITLE = "Payout method", "Nơi nhận tiền";
    WALLET_LEAD = "Payouts are monthly. Until you choose a payout method, your commissions stay here and do not expire.", "Chi trả hằng tháng. Khi chưa chọn nơi nhận tiền, hoa hồng được giữ ở đây và không hết hạn.";
    KIND = "Method", "Hình thức";
    BANK = "Bank account", "Tài khoản ngân hàng";
    USDT = "USDT (Tron, TRC-20)", "USDT (Tron, TRC-20)";
    BALANCE = "My balance here", "Số dư tại đây";
    ADDRESS = "Account or address", "Tài khoản hoặc địa chỉ";
    ADDRESS_HINT = "Bank: the bank's 6-digit BIN, the account number and the holder's name. USDT: the address. Balance: leave it empty.", "Ngân hàng: mã BIN 6 số, số tài khoản và tên chủ tài khoản. USDT: địa chỉ ví. Số dư: để trống.";
    PASSWORD_HINT = "Needed to change where your money goes. We e-mail you about every change.", "Cần để thay đổi nơi nhận tiền. Chúng tôi gửi e-mail cho bạn về mọi thay đổi.";
    WALLET_SAVED = "Payout method saved.", "Đã lưu nơi nhận tiền.";
    BANK_WRONG = "Enter the bank's 6-digit BIN, the account number (6 to 19 letters or digits) and the holder's name.", "Hãy nhập mã BIN 6 số, số tài khoản (6 đến 19 chữ cái hoặc chữ số) và tên chủ tài khoản.";
    USDT_WRONG = "A USDT address on Tron (TRC-20) is the letter T and 33 more characters.", "Địa chỉ USDT trên mạng Tron (TRC-20) gồm chữ T và 33 ký tự.";
    USDT_TYPO = "This USDT address has a typing error: its checksum does not match.", "Địa chỉ USDT bị gõ sai: mã kiểm tra không khớp.";
    BALANCE_WRONG = "Your balance needs no address: leave the field empty.", "Chuyển vào số dư không cần địa chỉ: hãy để trống.";
    KIND_WRONG = "Choose a bank account, USDT or your balance.", "Hãy chọn tài khoản ngân hàng, USDT hoặc số dư.";
}
