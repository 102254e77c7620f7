//! The settings.

texts! {
    TITLE = "Settings", "Cài đặt";
    SAVED = "Saved.", "Đã lưu.";
    LANGUAGES = "Languages", "Ngôn ngữ";
    PAGES = "Of these pages and our mails", "Của trang này và e-mail";
    CALLS = "In which codes are read", "Đọc mã bằng";
    AS_CONFIGURED = "as this gateway is set: {language}", "theo cấu hình của cổng: {language}";
    ENGLISH = "English", "Tiếng Anh";
    VIETNAMESE = "Vietnamese", "Tiếng Việt";
    EMAIL = "E-mail address", "Địa chỉ e-mail";
    NEW_EMAIL = "New e-mail address", "Địa chỉ e-mail mới";
    DO_EMAIL = "Change address", "Đổi địa chỉ";
    EMAIL_TAKEN = "This address cannot be used.", "Không thể dùng địa chỉ này.";
    EMAIL_SUBJECT = "Your NEXO ROUTE account has a new e-mail address", "Tài khoản NEXO ROUTE của bạn có địa chỉ e-mail mới";
    EMAIL_TEXT = "You now sign in as {email}.\n\nIf it was not you, ask the operator of this gateway for help at once.", "Từ nay bạn đăng nhập bằng {email}.\n\nNếu không phải bạn, hãy liên hệ ngay với đơn vị vận hành cổng.";
    PASSWORD = "Password", "Mật khẩu";
    PRESENT_PASSWORD = "Present password", "Mật khẩu hiện tại";
    DO_PASSWORD = "Change password", "Đổi mật khẩu";
    PASSWORD_TELL = "All other browsers are signed out.", "Mọi trình duyệt khác sẽ bị đăng xuất.";
    PASSWORD_WRONG = "The present password is wrong.", "Mật khẩu hiện tại không đúng.";
    FACTOR = "Second factor", "Xác thực hai lớp";
    FACTOR_OFF = "A password can leak; a code from your phone cannot be guessed.", "Mật khẩu có thể bị lộ; mã trên điện thoại của bạn thì không đoán được.";
    FACTOR_ON = "On. Signing in asks for a code of your authenticator app.", "Đang bật. Khi đăng nhập cần mã từ ứng dụng xác thực.";
    DO_FACTOR_ON = "Set up", "Thiết lập";
    DO_FACTOR_OFF = "Turn off", "Tắt";
    FACTOR_SCAN = "Scan this picture with an authenticator app, or type the secret into it. Then enter the code that it shows.", "Quét hình này bằng ứng dụng xác thực hoặc nhập mã bí mật vào ứng dụng. Sau đó nhập mã mà ứng dụng hiển thị.";
    FACTOR_SECRET = "Secret", "Mã bí mật";
    FACTOR_PICTURE = "QR code of the secret for an authenticator app", "Mã QR chứa mã bí mật cho ứng dụng xác thực";
    FACTOR_WRONG = "Password or code is wrong.", "Mật khẩu hoặc mã không đúng.";
    FACTOR_DONE = "The second factor is on. Keep this recovery code where your phone is not: it is shown this once, and lets you in once without the phone.", "Đã bật xác thực hai lớp. Hãy cất mã khôi phục này ở nơi khác điện thoại: mã chỉ hiển thị một lần và cho phép bạn đăng nhập một lần không cần điện thoại.";
    TO_SETTINGS = "To the settings", "Về cài đặt";
    SESSIONS = "Signed in", "Phiên đăng nhập";
    BROWSER = "Browser", "Trình duyệt";
    ADDRESS = "Address", "Địa chỉ";
    SEEN = "Last seen", "Hoạt động gần nhất";
    THIS_ONE = "this one", "phiên này";
    END = "End", "Kết thúc";
    EVERYWHERE = "Sign out everywhere", "Đăng xuất mọi nơi";
    UNKNOWN_BROWSER = "unnamed", "không rõ";
}
