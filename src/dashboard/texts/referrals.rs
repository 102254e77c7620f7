//! Referrals and payouts, as their referrer sees them.

texts! {
    TITLE = "Referrals", "Giới thiệu";
    LEAD = "You earn 10% of what each delivered OTP costs those whom you bring, for as long as their account exists.", "Bạn nhận 10% giá mỗi OTP gửi thành công của người bạn giới thiệu, chừng nào tài khoản của họ còn tồn tại.";
    LINK = "Your link", "Liên kết của bạn";
    LINK_HINT = "Who lands on any page with it and signs up within 90 days is yours. The Vietnamese page is at {link}", "Ai mở bất kỳ trang nào qua liên kết này và đăng ký trong vòng 90 ngày là do bạn giới thiệu. Trang tiếng Anh ở {link}";
    PEOPLE = "People", "Số người";
    PENDING = "Pending", "Chờ chi trả";
    ACCRUED = "Earned in all", "Tổng hoa hồng";
    PAID = "Paid out", "Đã chi trả";
    PENDING_MORE = "paid out monthly", "chi trả hằng tháng";
    WHO = "Who", "Ai";
    SINCE = "Since", "Từ ngày";
    STATE = "State", "Trạng thái";
    ACTIVE = "active", "đang hiệu lực";
    ENDED = "ended", "đã kết thúc";
    REVOKED = "revoked", "bị thu hồi";
    NOBODY = "Nobody has come by your link yet. Put it where developers look.", "Chưa ai đến qua liên kết của bạn. Hãy đặt nó ở nơi các lập trình viên sẽ thấy.";
    LAST = "Latest commissions", "Hoa hồng gần đây";
    WHEN = "When", "Thời điểm";
    WHAT = "What", "Nội dung";
    AMOUNT = "Amount", "Số tiền";
    COMMISSION = "Commission", "Hoa hồng";
    REVOCATION = "Revocation", "Thu hồi";
    PAYOUT = "Payout", "Chi trả";
    PAYOUTS = "Payouts", "Các lần chi trả";
    MONTH = "Month", "Tháng";
    TO = "To", "Đến";
    SENT = "sent", "đã chuyển";
    TO_BE_SENT = "on its way", "đang chuyển";
    NO_PAYOUT = "Nothing has been paid out yet.", "Chưa có lần chi trả nào.";
    WALLET_TITLE = "Where we pay", "Nơi nhận tiền";
    WALLET_LEAD = "Processed monthly. Without a wallet your commissions wait here; nothing expires.", "Chi trả hằng tháng. Nếu chưa chọn nơi nhận, hoa hồng sẽ chờ ở đây và không hết hạn.";
    KIND = "Kind", "Loại";
    BANK = "Bank account", "Tài khoản ngân hàng";
    USDT = "USDT (Tron, TRC-20)", "USDT (Tron, TRC-20)";
    BALANCE = "My balance here", "Số dư tại đây";
    ADDRESS = "Account or address", "Tài khoản hoặc địa chỉ";
    ADDRESS_HINT = "Bank: the bank's 6 digits (BIN), the account number and the holder's name. USDT: the address. Balance: leave it empty.", "Ngân hàng: 6 số BIN, số tài khoản và tên chủ tài khoản. USDT: địa chỉ ví. Số dư: để trống.";
    WALLET_SAVED = "Saved: this is where we pay.", "Đã lưu nơi nhận tiền.";
    BANK_WRONG = "Write the bank's 6 digits (BIN), the account's 6 to 19 letters or digits, and the holder's name.", "Hãy nhập 6 số BIN, số tài khoản 6 đến 19 ký tự và tên chủ tài khoản.";
    USDT_WRONG = "A USDT address is one of Tron (TRC-20): T and 33 more characters.", "Địa chỉ USDT phải thuộc mạng Tron (TRC-20): chữ T và 33 ký tự.";
    USDT_TYPO = "This USDT address has a typing error: its checksum does not hold.", "Địa chỉ USDT bị gõ sai: mã kiểm tra không khớp.";
    BALANCE_WRONG = "Your own wallet needs no address: leave the field empty.", "Số dư của bạn không cần địa chỉ: hãy để trống.";
    KIND_WRONG = "Choose a bank account, USDT or your balance.", "Hãy chọn tài khoản ngân hàng, USDT hoặc số dư.";
}
