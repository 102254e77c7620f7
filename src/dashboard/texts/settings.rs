//! The settings.

texts! {
    TITLE = "Settings", "Cài đặt";
    SAVED = "Saved.", "Đã lưu.";
    LANGUAGES = "Languages", "Ngôn ngữ";
    PAGES = "Pages and e-mails", "Trang web và e-mail";
    CALLS = "Calls", "Cuộc gọi";
    DEFAULT = "Default ({language})", "Mặc định ({language})";
    ENGLISH = "English", "Tiếng Anh";
    VIETNAMESE = "Vietnamese", "Tiếng Việt";
    EMAIL = "E-mail address", "Địa chỉ e-mail";
    DO_EMAIL = "Change address", "Đổi địa chỉ";
    EMAIL_TAKEN = "This address cannot be used.", "Không thể dùng địa chỉ này.";
    EMAIL_SUBJECT = "The e-mail address of your NEXO ROUTE account was changed", "Địa chỉ e-mail của tài khoản NEXO ROUTE đã thay đổi";
    EMAIL_TEXT = "You now sign in as {email}.\n\nIf you did not make this change, contact the operator of this gateway immediately.", "Từ nay bạn đăng nhập bằng {email}.\n\nNếu bạn không thực hiện thay đổi này, hãy liên hệ ngay với đơn vị vận hành.";
    PASSWORD = "Password", "Mật khẩu";
    CURRENT_PASSWORD = "Current password", "Mật khẩu hiện tại";
    DO_PASSWORD = "Change password", "Đổi mật khẩu";
    PASSWORD_NOTE = "All other browsers are signed out.", "Mọi trình duyệt khác sẽ bị đăng xuất.";
    PASSWORD_WRONG = "The current password is wrong.", "Mật khẩu hiện tại không đúng.";
    FACTOR = "Two-factor authentication", "Xác thực hai lớp";
    FACTOR_OFF = "Off. Protect your account with a code from your phone in addition to your password.", "Đang tắt. Hãy bảo vệ tài khoản bằng mã trên điện thoại ngoài mật khẩu.";
    FACTOR_ON = "On. Signing in requires a code from your authenticator app.", "Đang bật. Khi đăng nhập cần mã từ ứng dụng xác thực.";
    DO_FACTOR_ON = "Set up", "Thiết lập";
    DO_FACTOR_OFF = "Turn off", "Tắt";
    FACTOR_SCAN = "Scan this QR code with an authenticator app, or type the secret into it. Then enter the code that the app shows.", "Quét mã QR này bằng ứng dụng xác thực hoặc nhập khóa bí mật vào ứng dụng. Sau đó nhập mã mà ứng dụng hiển thị.";
    FACTOR_SECRET = "Secret", "Khóa bí mật";
    FACTOR_PICTURE = "QR code of the secret for an authenticator app", "Mã QR chứa khóa bí mật cho ứng dụng xác thực";
    FACTOR_WRONG = "The password or the code is wrong.", "Mật khẩu hoặc mã không đúng.";
    FACTOR_DONE = "Two-factor authentication is on. Store this recovery code apart from your phone: it is shown only once and lets you sign in once without the phone.", "Đã bật xác thực hai lớp. Hãy cất mã khôi phục này ở nơi khác điện thoại: mã chỉ hiển thị một lần và cho phép bạn đăng nhập một lần không cần điện thoại.";
    TO_SETTINGS = "Back to settings", "Về cài đặt";
    SESSIONS = "Active sessions", "Phiên đăng nhập";
    BROWSER = "Browser", "Trình duyệt";
    ADDRESS = "IP address", "Địa chỉ IP";
    SEEN = "Last active", "Hoạt động gần nhất";
    THIS_ONE = "this session", "phiên này";
    END = "Sign out", "Đăng xuất";
    EVERYWHERE = "Sign out everywhere", "Đăng xuất mọi nơi";
    UNKNOWN_BROWSER = "unknown", "không rõ";
}
