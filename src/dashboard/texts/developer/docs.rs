//! The API reference.

texts! {
    TITLE = "API reference", "Tài liệu API";
    LEAD = "One HTTP POST makes a Vietnamese mobile phone ring, and a voice reads the code.", "Chỉ một yêu cầu HTTP POST, số di động Việt Nam sẽ đổ chuông và hệ thống đọc mã.";
    CONTENTS = "On this page", "Trên trang này";
    BASE = "Base URL", "URL gốc";
    YOUR_KEY = "The examples read your key {key} from the variable NEXO_KEY. The full key is shown only when it is created. With a live key, use your own phone number.", "Các ví dụ đọc khóa {key} của bạn từ biến NEXO_KEY. Khóa đầy đủ chỉ hiển thị khi tạo. Với khóa thật, hãy dùng số điện thoại của chính bạn.";
    NO_KEY = "The examples read your key from the variable NEXO_KEY. Create a test key under API keys. With a live key, use your own phone number.", "Các ví dụ đọc khóa của bạn từ biến NEXO_KEY. Hãy tạo khóa thử nghiệm trong mục Khóa API. Với khóa thật, hãy dùng số điện thoại của chính bạn.";
    QUICKSTART = "Quickstart", "Bắt đầu nhanh";
    QUICKSTART_1 = "Sign up: your first {count} OTPs are free.", "Đăng ký: {count} OTP đầu tiên của bạn được miễn phí.";
    QUICKSTART_2 = "Create a test API key. It begins with sk_test_ and is shown only once. No phone rings.", "Tạo khóa API thử nghiệm. Khóa bắt đầu bằng sk_test_, chỉ hiển thị một lần và không làm máy nào đổ chuông.";
    QUICKSTART_3 = "Send your first OTP. With a live key (sk_live_), replace the number with your own: that phone rings.", "Gửi OTP đầu tiên. Với khóa thật (sk_live_), hãy thay bằng số của chính bạn vì máy đó sẽ đổ chuông.";
    AUTH = "Authentication", "Xác thực";
    AUTH_1 = "Send the key with every request, as Authorization: Bearer sk_live_…. A key belongs to one account. We store only its SHA-256 hash, so a lost key cannot be recovered. If a key leaks, revoke it; it is rejected within a second.", "Gửi khóa kèm mọi yêu cầu, dạng Authorization: Bearer sk_live_…. Mỗi khóa thuộc về một tài khoản. Chúng tôi chỉ lưu mã băm SHA-256 nên không thể khôi phục khóa đã mất. Nếu khóa bị lộ, hãy thu hồi; khóa sẽ bị từ chối trong vòng một giây.";
    AUTH_2 = "Keys that begin with sk_test_ call only the sandbox carrier. They are free of charge and get the same responses as live keys.", "Khóa bắt đầu bằng sk_test_ chỉ gọi nhà mạng sandbox. Khóa thử nghiệm miễn phí và nhận phản hồi giống khóa thật.";
    SEND = "Send an OTP", "Gửi OTP";
    SEND_TEXT = "phone is a string: +84 and nine digits of a mobile range. code is a string of 4 to 8 digits. The response 202 with the status sent means that the carrier accepted the call. The outcome is known within a minute.", "phone là chuỗi gồm +84 và chín chữ số thuộc dải số di động. code là chuỗi 4 đến 8 chữ số. Phản hồi 202 với trạng thái sent nghĩa là nhà mạng đã tiếp nhận cuộc gọi. Kết quả có trong vòng một phút.";
    IDEMPOTENCY = "With an Idempotency-Key header, a request can be repeated without a second call: for 24 hours, the same key and body return the first response again.", "Với header Idempotency-Key, bạn có thể gửi lại yêu cầu mà không tạo cuộc gọi thứ hai: trong 24 giờ, cùng khóa và nội dung sẽ nhận lại phản hồi đầu tiên.";
    CHECK = "Check a delivery", "Tra cứu OTP";
    CHECK_TEXT = "Returns the current status of one OTP: sent, delivered or failed. The ID of another account's OTP returns 404.", "Trả về trạng thái hiện tại của một OTP: sent, delivered hoặc failed. ID của OTP thuộc tài khoản khác trả về 404.";
    BALANCE = "Wallet", "Ví";
    BALANCE_TEXT = "An OTP is paid from free credit first, then bonus credit, then the balance. Free and bonus credit can only be spent on OTPs; the balance is paid back when the account is closed.", "Mỗi OTP được trừ vào tín dụng miễn phí trước, rồi tín dụng thưởng, rồi số dư. Tín dụng miễn phí và tín dụng thưởng chỉ dùng để gửi OTP; số dư được hoàn trả khi đóng tài khoản.";
    WEBHOOKS = "Webhooks", "Webhook";
    WEBHOOKS_TEXT = "When an OTP or a verification ends, we POST a signed event to each active endpoint that chose it, once, and wait 5 seconds for a 2xx response. Failed events are listed on the dashboard and can be replayed there. The event wallet.low is sent once each time the wallet falls below your notice threshold.", "Khi một OTP hoặc một lượt xác minh kết thúc, chúng tôi gửi (POST) sự kiện có chữ ký tới mỗi endpoint đang hoạt động có chọn sự kiện đó, một lần, và chờ phản hồi 2xx trong 5 giây. Các sự kiện thất bại được liệt kê trên bảng điều khiển và có thể gửi lại tại đó. Sự kiện wallet.low được gửi một lần mỗi khi ví xuống dưới mức cảnh báo của bạn.";
    WEBHOOKS_SIGN = "X-NEXO-Signature is sha256= followed by the hex HMAC-SHA-256 of the exact body. Its key is the hex SHA-256 of your secret. The headers webhook-id, webhook-timestamp and webhook-signature follow Standard Webhooks and protect against replay attacks.", "X-NEXO-Signature gồm sha256= và HMAC-SHA-256 của đúng nội dung, dạng hex. Khóa HMAC là SHA-256 của khóa bí mật, dạng hex. Các header webhook-id, webhook-timestamp và webhook-signature theo Standard Webhooks để chống tấn công phát lại.";
    ALLOWLIST = "IP allowlist", "Danh sách IP";
    ALLOWLIST_TEXT = "A key can be limited to up to 50 IPv4 or IPv6 addresses or CIDR ranges. An empty list allows every address. A request from another address gets 403 ip_not_allowed with the detected address.", "Có thể giới hạn khóa theo tối đa 50 địa chỉ IPv4, IPv6 hoặc dải CIDR. Danh sách trống cho phép mọi địa chỉ. Yêu cầu từ địa chỉ khác nhận 403 ip_not_allowed kèm địa chỉ được phát hiện.";
    REFERRALS = "Referrals", "Giới thiệu";
    REFERRALS_TEXT = "Your link is /en?ref=<code> or /vi?ref=<code>. An account that signs up within 90 days of following it is your referral: 10% of the full price of each of its delivered OTPs is added to your pending balance, which is paid out monthly to your payout method. You cannot refer yourself.", "Liên kết của bạn là /en?ref=<code> hoặc /vi?ref=<code>. Tài khoản đăng ký trong vòng 90 ngày sau khi mở liên kết được tính là do bạn giới thiệu: 10\u{a0}% giá đầy đủ của mỗi OTP thành công được cộng vào số dư chờ và chi trả hằng tháng tới nơi nhận bạn chọn. Bạn không thể tự giới thiệu chính mình.";
    ERRORS = "Errors", "Lỗi";
    ERRORS_TEXT = "Every error is JSON with ok, error and message. Every response has an X-Request-Id: quote it when you contact support.", "Mọi lỗi là JSON với ok, error và message. Mọi phản hồi đều có X-Request-Id: hãy gửi kèm khi liên hệ hỗ trợ.";
    STATUS = "Status", "Mã";
    ERROR = "error", "error";
    MEANING = "Meaning", "Ý nghĩa";
    E_BODY = "The body is not a JSON object, or a parameter is invalid.", "Nội dung không phải đối tượng JSON, hoặc tham số không hợp lệ.";
    E_PHONE = "Not a Vietnamese mobile number in E.164 format (+84…).", "Không phải số di động Việt Nam theo định dạng E.164 (+84…).";
    E_CODE = "The code is missing or is not 4 to 8 digits.", "Thiếu mã, hoặc mã không gồm 4 đến 8 chữ số.";
    E_AUTH = "There is no Authorization header with a Bearer key.", "Không có header Authorization với khóa Bearer.";
    E_KEY = "The key is mistyped, revoked or unknown.", "Khóa bị gõ sai, đã thu hồi hoặc không tồn tại.";
    E_SIGNATURE = "The hook of an integration is not signed with its secret, or its time is more than 5 minutes off.", "Hook của tích hợp không được ký bằng khóa bí mật của nó, hoặc lệch giờ quá 5 phút.";
    E_FUNDS = "The wallet balance is too low. deposit_url is the top-up page.", "Ví không đủ tiền. deposit_url là trang nạp tiền.";
    E_SUSPENDED = "The operator has suspended this account.", "Đơn vị vận hành đã tạm khóa tài khoản này.";
    E_QUOTA = "A daily limit of test OTPs, exports or stored refusals, or a rate per minute, is used up. quota, limit and resets_at describe it.", "Đã dùng hết giới hạn theo ngày của OTP thử nghiệm, tải CSV hay phản hồi từ chối được lưu, hoặc tốc độ theo phút. Xem quota, limit và resets_at.";
    E_IP = "Your address is not on the key's allowlist. detected_ip contains it.", "Địa chỉ của bạn không có trong danh sách IP của khóa. detected_ip cho biết địa chỉ đó.";
    E_NOT_FOUND = "Not found.", "Không tìm thấy.";
    E_CONFLICT = "The Idempotency-Key was already used with a different body.", "Idempotency-Key đã được dùng với nội dung khác.";
    E_VERIFICATION_CLOSED = "The verification is not pending any more; status says why.", "Lượt xác thực không còn chờ mã; status cho biết lý do.";
    E_TOO_MANY_SENDS = "The code was read in five calls. Start a new verification.", "Mã đã được đọc trong năm cuộc gọi. Hãy bắt đầu lượt xác thực mới.";
    E_NOT_CONFIGURED = "Verifications are not set up on this installation.", "Hệ thống này chưa thiết lập tính năng xác thực.";
    E_LARGE = "The body is larger than 16 KiB.", "Nội dung lớn hơn 16 KiB.";
    E_WINDOW = "This phone was called less than 30 seconds ago. retry_after_seconds says when to retry.", "Số này vừa được gọi chưa đầy 30 giây. retry_after_seconds cho biết khi nào có thể thử lại.";
    E_TOO_MANY = "The account reads too much at the same time, or has too many CSV downloads in progress.", "Tài khoản đang đọc quá nhiều dữ liệu cùng lúc hoặc có quá nhiều lượt tải CSV.";
    E_THROTTLED = "The carrier is throttling calls; the OTP was refunded.", "Nhà mạng đang giới hạn cuộc gọi; OTP đã được hoàn tiền.";
    E_ROUTE = "No gateway of the carrier accepted the call; the OTP was refunded. Without id, the carrier has no gateway and nothing was charged.", "Không cổng nào của nhà mạng tiếp nhận cuộc gọi; OTP đã được hoàn tiền. Nếu không có id, nhà mạng chưa có cổng và không bị trừ tiền.";
    E_OVERLOADED = "The gateway is overloaded; nothing was charged.", "Cổng đang quá tải; chưa trừ tiền.";
    E_INTERNAL = "Internal error. We have been notified.", "Lỗi hệ thống. Chúng tôi đã được thông báo.";
    E_ACCEPT = "The Accept header allows neither JSON nor CSV.", "Header Accept không cho phép JSON hay CSV.";
    E_METHOD = "The address does not have this method. Allow lists its methods.", "Địa chỉ này không hỗ trợ phương thức đó. Xem header Allow.";
    E_TIMEOUT = "The head of the request did not arrive in time.", "Phần đầu của yêu cầu không đến kịp.";
    E_HEADERS = "The head of the request is too large.", "Phần đầu của yêu cầu quá lớn.";
    PARAMETER = "Name", "Tên";
    PLACE = "In", "Vị trí";
    REQUIRED = "Required", "Bắt buộc";
    YES = "yes", "có";
    NO = "no", "không";
    IN_BODY = "body", "nội dung";
    IN_HEADER = "header", "header";
    IN_PATH = "path", "đường dẫn";
    IN_QUERY = "query", "truy vấn";
    LIST_TEXT = "Lists your OTPs, newest first, as JSON or, with Accept: text/csv, as CSV.", "Liệt kê OTP của bạn, mới nhất trước, dạng JSON hoặc CSV (với Accept: text/csv).";
    LIMITS = "Limits", "Giới hạn";
    LIMIT_PHONE = "One OTP per phone every 30 seconds.", "Mỗi số điện thoại một OTP trong 30 giây.";
    LIMIT_KEYS = "At most 10 active API keys and 5 webhook endpoints per account.", "Tối đa 10 khóa API đang dùng và 5 endpoint webhook cho mỗi tài khoản.";
    LIMIT_BURST = "No hard limit per key. Suspicious bursts are reviewed by our team.", "Không giới hạn cứng cho mỗi khóa. Lưu lượng bất thường được đội ngũ của chúng tôi xem xét.";
    SANDBOX = "Test numbers", "Số thử nghiệm";
    SANDBOX_TEXT = "With a test key, the last two digits of the phone number select the outcome. Every other number answers after a short ring.", "Với khóa thử nghiệm, hai chữ số cuối của số điện thoại quyết định kết quả. Mọi số khác đều bắt máy sau hồi chuông ngắn.";
    ENDS_IN = "Ends in", "Kết thúc bằng";
    S90 = "busy", "máy bận";
    S91 = "rings, never answered", "đổ chuông, không bắt máy";
    S92 = "declined", "từ chối";
    S93 = "invalid number", "số không tồn tại";
    S94 = "switched off", "tắt máy";
    S95 = "congestion: 502", "nghẽn mạng: 502";
    S96 = "throttled: 429", "bị giới hạn: 429";
    S97 = "no response: 502", "không phản hồi: 502";
    S98 = "answers and hangs up after a second", "bắt máy rồi gác sau một giây";
    S99 = "voicemail", "hộp thư thoại";
    EXAMPLES = "Examples", "Ví dụ";
    OPENAPI = "OpenAPI", "OpenAPI";
    OPENAPI_LEAD = "Every operation with its parameters and responses, generated from the OpenAPI document that the gateway serves.", "Mọi thao tác với tham số và phản hồi, tạo từ tài liệu OpenAPI do cổng cung cấp. Mô tả bằng tiếng Anh.";
    OPENAPI_FILE = "Download as JSON", "Tải dạng JSON";
    PARAMETERS = "Parameters", "Tham số";
    RESPONSES = "Responses", "Phản hồi";
}

/// What a parameter of the API means, in Vietnamese. In English, the OpenAPI document says it.
pub fn vietnamese_parameter(name: &str) -> Option<&'static str> {
    Some(match name {
        "phone" => "Số di động Việt Nam theo định dạng E.164: +84 và chín chữ số.",
        "code" => "Mã cần đọc, 4 đến 8 chữ số ASCII.",
        "language" => "Ngôn ngữ của cuộc gọi này: vi hoặc en. Mặc định: ngôn ngữ của tài khoản.",
        "repeat" => "Số lần đọc mã, 1 đến 3. Mặc định: thiết lập của hệ thống.",
        "reference" => {
            "Mã tham chiếu của riêng bạn, 1 đến 64 ký tự in được; trong danh sách: chỉ OTP có mã này."
        }
        "metadata" => {
            "Tên và giá trị của riêng bạn: đối tượng có tối đa 10 chuỗi, tổng cộng 1 KiB JSON."
        }
        "Idempotency-Key" => {
            "Khóa của bạn cho OTP này; 1 đến 255 ký tự ASCII in được, lưu 24 giờ theo từng khóa API. Yêu cầu lặp lại nhận phản hồi đầu tiên và không gọi lại; nếu yêu cầu đầu còn đang xử lý thì chờ nó. Phản hồi 402, 429 hoặc 5xx giải phóng khóa."
        }
        "limit" => "Số dòng, 1 đến 200. Mặc định: 50 với JSON, tất cả với CSV.",
        "cursor" => "next_cursor của trang trước; giữ nguyên các tham số khác.",
        "status" => "Chỉ OTP có trạng thái này.",
        "carrier" => "Chỉ OTP của nhà mạng này.",
        "from" => "Thời gian RFC 3339 hoặc ngày (0 giờ UTC), tính cả thời điểm này.",
        "to" => "Thời gian RFC 3339 hoặc ngày, không tính thời điểm này.",
        _ => return None,
    })
}
