//! E-mails about changes of an account's security settings.

texts! {
    NOT_YOU = "If this was not you, reset your password immediately and contact the operator of this gateway.", "Nếu không phải bạn, hãy đặt lại mật khẩu ngay và liên hệ với đơn vị vận hành.";
    PASSWORD_SUBJECT = "The password of your NEXO ROUTE account was changed", "Mật khẩu tài khoản NEXO ROUTE đã thay đổi";
    PASSWORD = "The password of your NEXO ROUTE account was changed. All other browsers were signed out.", "Mật khẩu tài khoản NEXO ROUTE của bạn đã được thay đổi. Mọi trình duyệt khác đã bị đăng xuất.";
    FACTOR_SUBJECT = "Two-factor authentication of your NEXO ROUTE account", "Xác thực hai lớp của tài khoản NEXO ROUTE";
    FACTOR_ON = "Two-factor authentication was turned on for your NEXO ROUTE account.", "Xác thực hai lớp đã được bật cho tài khoản NEXO ROUTE của bạn.";
    FACTOR_OFF = "Two-factor authentication was turned off for your NEXO ROUTE account.", "Xác thực hai lớp đã bị tắt cho tài khoản NEXO ROUTE của bạn.";
    PAYOUT_SUBJECT = "The payout method of your NEXO ROUTE account was changed", "Nơi nhận tiền của tài khoản NEXO ROUTE đã thay đổi";
    PAYOUT = "Your commissions are now paid to: {method}.", "Từ nay hoa hồng của bạn được chi trả đến: {method}.";
    EMAIL_REQUESTED_SUBJECT = "A new e-mail address was requested for your NEXO ROUTE account", "Yêu cầu đổi địa chỉ e-mail của tài khoản NEXO ROUTE";
    EMAIL_REQUESTED = "A change of the e-mail address of your NEXO ROUTE account to {email} was requested. It takes effect when the new address is confirmed. A new password cancels it.", "Có yêu cầu đổi địa chỉ e-mail của tài khoản NEXO ROUTE sang {email}. Thay đổi có hiệu lực khi địa chỉ mới được xác nhận. Đặt mật khẩu mới sẽ hủy yêu cầu này.";
    EMAIL_SUBJECT = "The e-mail address of your NEXO ROUTE account was changed", "Địa chỉ e-mail của tài khoản NEXO ROUTE đã thay đổi";
    EMAIL = "You now sign in as {email}. All other browsers were signed out.", "Từ nay bạn đăng nhập bằng {email}. Mọi trình duyệt khác đã bị đăng xuất.";
}
