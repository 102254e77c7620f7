//! The pages of API keys.

texts! {
    TITLE = "API keys", "Khóa API";
    LEAD = "Your servers use a key to send OTPs, which are paid from your wallet. Protect it like a password.", "Máy chủ của bạn dùng khóa để gửi OTP, chi phí trừ vào ví của bạn. Hãy bảo vệ khóa như mật khẩu.";
    COUNT = "{count} of {most} active", "Đang dùng {count}/{most} khóa";
    NAME = "Name", "Tên";
    NAME_HINT = "A name to recognise it, such as production", "Tên để nhận biết, ví dụ production";
    KEY = "Key", "Khóa";
    CREATED = "Created", "Tạo";
    LAST_USED = "Last used", "Dùng lần cuối";
    ALLOWED_IPS = "Allowed IPs", "IP được phép";
    ANY_ADDRESS = "any address", "mọi địa chỉ";
    ENTRIES = "{count} entries", "{count} mục";
    ALLOWLIST = "IP allowlist", "Danh sách IP";
    REVOKED = "revoked", "đã thu hồi";
    TEST = "test", "thử nghiệm";
    CREATE = "New key", "Tạo khóa mới";
    DO_CREATE = "Create key", "Tạo khóa";
    KIND = "Type", "Loại";
    KIND_LIVE = "Live: real phones, paid", "Thật: gọi số thật, có tính phí";
    KIND_TEST = "Test: sandbox only, free", "Thử nghiệm: sandbox, miễn phí";
    SHOWN_ONCE = "Your new key. It is shown only once: copy it now.", "Khóa mới của bạn. Khóa chỉ hiển thị một lần: hãy sao chép ngay.";
    STORED_AS_HASH = "We store only its SHA-256 hash, so a lost key cannot be shown again.", "Chúng tôi chỉ lưu mã băm SHA-256 của khóa nên không thể hiển thị lại khóa đã mất.";
    TRY_IT = "Try it", "Dùng thử";
    REVOKE = "Revoke", "Thu hồi";
    REVOKE_TITLE = "Revoke the key “{name}”?", "Thu hồi khóa “{name}”?";
    REVOKE_TEXT = "Requests with this key are rejected within a second. This cannot be undone.", "Các yêu cầu dùng khóa này sẽ bị từ chối trong vòng một giây. Thao tác này không thể hoàn tác.";
    ROTATE = "Rotate", "Đổi khóa";
    ROTATE_TITLE = "Replace the key “{name}”?", "Thay khóa “{name}”?";
    ROTATE_TEXT = "You get a new key with the same name and allowlist. The old one stops working within a second. To switch without interruption, create a second key first and revoke this one later.", "Bạn sẽ nhận khóa mới với cùng tên và danh sách IP. Khóa cũ ngừng hoạt động trong vòng một giây. Để chuyển đổi không gián đoạn, hãy tạo khóa thứ hai trước rồi thu hồi khóa này sau.";
    WAS_REVOKED = "The key “{name}” was revoked.", "Đã thu hồi khóa “{name}”.";
    NONE = "No keys yet. Create one to send your first OTP.", "Chưa có khóa nào. Hãy tạo một khóa để gửi OTP đầu tiên.";
    TOO_MANY = "An account can have at most {most} active keys. Revoke one first.", "Mỗi tài khoản có tối đa {most} khóa đang dùng. Hãy thu hồi bớt một khóa trước.";
    NAME_WRONG = "A name is 1 to 64 characters on one line.", "Tên gồm 1 đến 64 ký tự trên một dòng.";
    SHOW_REVOKED = "Revoked keys ({count})", "Khóa đã thu hồi ({count})";
    ALLOWLIST_TITLE = "IP allowlist of “{name}”", "Danh sách IP của “{name}”";
    ALLOWLIST_LEAD = "One IPv4 or IPv6 address or CIDR range per line, at most {most}. An empty list allows every address.", "Mỗi dòng một địa chỉ IPv4, IPv6 hoặc dải CIDR, tối đa {most} dòng. Danh sách trống cho phép mọi địa chỉ.";
    ADDRESSES = "Addresses", "Địa chỉ";
    YOUR_ADDRESS = "Your address is {address}.", "Địa chỉ của bạn là {address}.";
    LINE_WRONG = "Line {line}: “{entry}” is neither an IP address nor a CIDR range such as 10.0.0.0/8.", "Dòng {line}: “{entry}” không phải địa chỉ IP hay dải CIDR như 10.0.0.0/8.";
    LINES_TOO_MANY = "The list has {count} entries; at most {most} are allowed.", "Danh sách có {count} mục; tối đa {most} mục.";
    LOCKS_OUT = "Your own address {address} is not on this list. If your servers also call from it, their requests will be rejected.", "Địa chỉ {address} của bạn không có trong danh sách này. Nếu máy chủ của bạn cũng gọi từ địa chỉ đó, yêu cầu sẽ bị từ chối.";
    LOCKS_OUT_CONFIRM = "I understand, save anyway", "Tôi hiểu, vẫn lưu";
    ALLOWLIST_SAVED = "The allowlist of “{name}” was saved. It takes effect within a second.", "Đã lưu danh sách IP của “{name}”. Thay đổi có hiệu lực trong vòng một giây.";
}
