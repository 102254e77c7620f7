//! Signing up, in and out, and a new password.

texts! {
    SIGN_IN_TITLE = "Sign in", "Đăng nhập";
    SIGN_IN_LEAD = "Welcome back.", "Chào mừng bạn trở lại.";
    SIGN_UP_TITLE = "Create your account", "Tạo tài khoản";
    SIGN_UP_LEAD = "{count} test OTPs are on us. No card needed.", "Tặng {count} OTP dùng thử. Không cần thẻ.";
    EMAIL = "E-mail", "E-mail";
    PASSWORD = "Password", "Mật khẩu";
    NEW_PASSWORD = "New password", "Mật khẩu mới";
    PASSWORD_HINT = "At least {count} characters. A short sentence is a good one.", "Ít nhất {count} ký tự. Một câu ngắn là lựa chọn tốt.";
    FORGOT = "Forgot your password?", "Quên mật khẩu?";
    NO_ACCOUNT = "New here?", "Chưa có tài khoản?";
    HAS_ACCOUNT = "You have an account?", "Đã có tài khoản?";
    DO_SIGN_IN = "Sign in", "Đăng nhập";
    DO_SIGN_UP = "Create account", "Tạo tài khoản";
    WRONG = "This e-mail address and password do not belong together.", "E-mail hoặc mật khẩu không đúng.";
    EMAIL_WRONG = "This is no e-mail address such as ops@example.com.", "Đây không phải địa chỉ e-mail hợp lệ, ví dụ ops@example.com.";
    EMAIL_TAKEN = "An account cannot be opened with this address. If it is yours, sign in or ask for a new password.", "Không thể mở tài khoản với địa chỉ này. Nếu đó là địa chỉ của bạn, hãy đăng nhập hoặc yêu cầu mật khẩu mới.";
    TOO_SHORT = "The password needs at least {count} characters.", "Mật khẩu cần ít nhất {count} ký tự.";
    TOO_LONG = "The password is too long.", "Mật khẩu quá dài.";
    GUESSABLE = "This password is too easy to guess: choose another one.", "Mật khẩu này quá dễ đoán: hãy chọn mật khẩu khác.";
    AGREE = "By creating an account you agree to call only people who asked for a code.", "Khi tạo tài khoản, bạn đồng ý chỉ gọi cho người đã yêu cầu mã.";
    STEP_TITLE = "One more step", "Thêm một bước";
    STEP_LEAD = "Enter the six digits that your authenticator app shows.", "Nhập sáu chữ số trong ứng dụng xác thực của bạn.";
    CODE = "Code", "Mã xác thực";
    STEP_HINT = "Lost your phone? Enter your recovery code instead: it turns the second factor off.", "Mất điện thoại? Hãy nhập mã khôi phục: xác thực hai lớp sẽ được tắt.";
    CODE_WRONG = "This code is wrong, or was used before.", "Mã không đúng hoặc đã được dùng.";
    RESET_TITLE = "New password", "Đặt lại mật khẩu";
    RESET_LEAD = "We mail you a link with which you choose a new password.", "Chúng tôi sẽ gửi cho bạn liên kết để chọn mật khẩu mới.";
    DO_RESET = "Mail me a link", "Gửi liên kết cho tôi";
    RESET_SENT_TITLE = "Look into your mail", "Hãy kiểm tra hộp thư";
    RESET_SENT = "If {email} has an account here, a link is on its way. It works once, for one hour.", "Nếu {email} có tài khoản tại đây, liên kết đang được gửi tới. Liên kết dùng được một lần, trong một giờ.";
    RESET_LOST_TITLE = "This link no longer works", "Liên kết không còn hiệu lực";
    RESET_LOST = "It was used, replaced by a newer one, or is older than an hour. Ask for another.", "Liên kết đã được dùng, đã có liên kết mới hơn hoặc đã quá một giờ. Hãy yêu cầu liên kết khác.";
    RESET_RECOVERY = "Recovery code", "Mã khôi phục";
    RESET_RECOVERY_HINT = "This account has a second factor. Its recovery code is needed too; the factor is then off.", "Tài khoản này có xác thực hai lớp nên cần thêm mã khôi phục; sau đó xác thực hai lớp sẽ được tắt.";
    DO_SET_PASSWORD = "Set the password", "Đặt mật khẩu";
    MAIL_SUBJECT = "Your new password for NEXO ROUTE", "Mật khẩu mới cho NEXO ROUTE";
    MAIL_TEXT = "Somebody, probably you, asked for a new password for your NEXO ROUTE account.\n\nChoose it here within one hour:\n{link}\n\nIf it was not you, there is nothing to do: your password stays as it is.", "Có người, có lẽ là bạn, đã yêu cầu mật khẩu mới cho tài khoản NEXO ROUTE của bạn.\n\nHãy chọn mật khẩu tại đây trong vòng một giờ:\n{link}\n\nNếu không phải bạn, bạn không cần làm gì: mật khẩu vẫn giữ nguyên.";
}
