"""How people write of such values: one line a wording, `{}` where the value stands."""


def lines(lang, text):
    return [(lang, line.strip()) for line in text.strip().splitlines() if line.strip()]


TEXTS = {
    "EMAIL": lines("en", """
        Drop me a line at {}.
        Reach the landlord via {} or by post.
        her mailbox is {}, mine is full
        <{}> bounced twice today
        Contact: {}
        Add {} as a collaborator
        CC {} on everything, please.
        the invite went to "{}" but never arrived
        Unsubscribe {} from the newsletter!
    """) + lines("vi", """
        Bạn liên hệ qua hộp thư {} nhé.
        Thư điện tử: {}
        Gửi báo cáo tới {} trước thứ Sáu.
        Mail cá nhân của em: {}
    """) + lines("de", """
        Meine Mailadresse lautet {}.
        Schreiben Sie bitte an {}!
    """) + lines("fr", """
        Mon courriel : {}
        Contactez {} pour le devis.
    """) + lines("es", """
        Mi correo electrónico es {}.
        Escríbeme a {}
    """) + lines("pt", """
        Meu e-mail é {}.
        Envie para {} ainda hoje.
    """) + lines("zh", """
        我的邮箱是{}，请查收。
        请发邮件到{}
    """) + lines("ja", """
        メールアドレス：{}
        {}までご連絡ください。
    """),
    "PHONE_STRONG": lines("en", """
        You can get hold of me on {} after six.
        My number is {}.
        The plumber ({}) never came.
        Ring {} and ask for Sam.
        contact no.: {}
        Emergency contact {}
        Here's my new cell: {}
        office {} / home unlisted
        WhatsApp me at {}
        Can you text the driver on {}?
    """) + lines("vi", """
        Em để lại số {} chị gọi lại nhé.
        Hotline: {}
        Liên lạc qua Zalo {} giúp em.
        SDT cua khach: {}
        Số máy bàn {}
        Alo em theo số {} nha
    """) + lines("de", """
        Sie erreichen mich unter {}.
        Tel.: {}
    """) + lines("fr", """
        Vous pouvez me joindre au {}.
        Tél. : {}
    """) + lines("es", """
        Mi teléfono es {}.
        Llámame al {}
    """) + lines("pt", """
        Meu celular é {}.
        Ligue para {}
    """) + lines("zh", """
        我的电话是{}
        请致电{}。
    """) + lines("ja", """
        電話番号は{}です。
        お問い合わせは{}まで
    """),
    "PHONE_WEAK": lines("en", """
        My phone number is {}.
        Call me on {} tomorrow.
        mobile: {}
        Cell phone {} (evenings)
        Fax: {}
        The number to dial is {}
        reach me by phone at {}
        SMS code was sent to {}
        WhatsApp {}
        Tel {}
        Phone # {}
        contact number {}
    """) + lines("de", """
        Telefonnummer: {}
        Meine Handynummer ist {}.
        Rufen Sie mich unter {} an.
        Mobil {}
    """) + lines("fr", """
        Mon numéro de téléphone est le {}.
        Appelez-moi au {}
        Portable : {}
    """) + lines("es", """
        Mi número de teléfono es {}.
        Móvil: {}
        Llámame al {} por la tarde.
        Tlf. {}
    """) + lines("pt", """
        Telefone para contato: {}
        Celular: {}
        Meu número de telefone é {}.
    """) + lines("zh", """
        手机号：{}
        联系电话：{}
        我的手机号码是{}
        电话{}
    """) + lines("ja", """
        携帯電話：{}
        電話番号は{}です
        TEL {}
    """),
    "CREDIT_CARD": lines("en", """
        Please charge {} for the renewal.
        My Mastercard {} was stolen.
        the card ending soon: {}
        CC: {} CVV on the back
        {} is my debit card, use it
        Payment method on file: {}
        put it on {} thanks
        Amex {} keeps failing
    """) + lines("vi", """
        Thẻ tín dụng của tôi {} bị khóa.
        Em quẹt thẻ {} ở siêu thị.
        Thẻ Napas: {}
        Số thẻ ghi nợ {}
    """) + lines("de", """
        Bitte von der Karte {} abbuchen.
        Kreditkartennummer {}
    """) + lines("fr", """
        Numéro de carte : {}
        Ma carte Visa {} est refusée.
    """) + lines("es", """
        Mi tarjeta de crédito es {}.
        Número de tarjeta: {}
    """) + lines("pt", """
        Cartão de crédito: {}
        O número do meu cartão é {}
    """) + lines("zh", """
        我的银行卡号是{}
        信用卡号码：{}
    """) + lines("ja", """
        クレジットカード番号：{}
        カードは{}です
    """),
    "IBAN": lines("en", """
        Send my salary to {} from now on.
        Beneficiary account {}
        The direct debit from {} failed.
        {} belongs to our supplier
        IBAN is {}
        Please pay into {} by Friday.
    """) + lines("vi", """
        Số IBAN: {}
        Tài khoản nhận tiền ở châu Âu là {}.
    """) + lines("de", """
        Bitte überweisen Sie auf {}.
        Kontoverbindung: {}
    """) + lines("fr", """
        Mon RIB : {}
        Veuillez créditer {}.
    """) + lines("es", """
        Cuenta bancaria: {}
        Transfiere a {}
    """) + lines("pt", """
        Conta para depósito: {}
    """) + lines("zh", """
        请汇款至{}
    """) + lines("ja", """
        振込先は{}です。
    """),
    "US_SSN": lines("en", """
        My social is {}.
        His Social Security no. is {}
        ssn: {}
        SS# {}
        social security # {}
        Her SSN ends the form: {}
        The taxpayer's social security number, {}, does not match.
        Employee SSN = {}
        Verify SSN {} with the bureau
        soc sec no {}
        SSN (required): {}
        Social Security Number (SSN) {}
    """) + lines("vi", """
        Số an sinh xã hội của tôi là {}
        Mã SSN: {}
    """) + lines("de", """
        Meine US-Sozialversicherungsnummer (SSN) lautet {}.
    """) + lines("es", """
        Mi número de seguro social es {}.
    """) + lines("fr", """
        Mon SSN américain : {}
    """),
    "US_SSN_STRONG": lines("en", """
        W-2 for {} attached
        The applicant wrote {} in box a.
        Background check on {} came back clean.
    """),
    "IP_ADDRESS": lines("en", """
        Ping {} from the bastion.
        Traffic from {} looks odd.
        whitelist {} please
        The attacker used {} last night
        curl http://{}/health hangs
        Our VPN exit is {}
        nslookup returned {}
        {} is down again
        Ban {}!
        reverse proxy at {} answers slowly
    """) + lines("vi", """
        Địa chỉ {} bị chặn tường lửa.
        Kiểm tra giúp em con {} với.
        IP nội bộ: {}
    """) + lines("de", """
        Der Rechner {} antwortet nicht.
    """) + lines("fr", """
        Le serveur {} ne répond plus.
    """) + lines("es", """
        La IP {} está bloqueada.
    """) + lines("pt", """
        O servidor {} caiu.
    """) + lines("zh", """
        请检查{}的连接
        来自{}的请求被拒绝
    """) + lines("ja", """
        サーバー{}に接続できません
        {}からのアクセスです
    """),
    "VN_CMND": lines("vi", """
        Chứng minh nhân dân số {}
        Số chứng minh thư của em là {}.
        CMTND: {}
        CMT {} cấp tại Nghệ An
        Giấy CMND: {}
        Em gửi số CMND của mẹ: {}
        số cmt: {}
        Chứng minh thư nhân dân: {}
        so chung minh nhan dan {}
        CMND/CCCD: {}
        Số CMND/Hộ chiếu: {}
        Theo CMND số: {} do Công an tỉnh cấp
    """) + lines("en", """
        Vietnamese identity card (CMND): {}
        Her CMND is {}.
        The ID card number {} was issued in Hue.
        CMND no: {}
        National ID (CMND) {}
    """),
    "VN_CCCD": lines("vi", """
        Căn cước công dân số {}
        Thẻ căn cước: {}
        Số định danh cá nhân: {}
        Em gửi CCCD {} ạ
        Mã định danh {}
        CCCD gắn chip: {}
        số căn cước của tôi là {}
        so can cuoc cong dan {}
        CMND/CCCD: {}
        CCCD/Hộ chiếu: {}
        CCCD của ba em {}
        Căn cước điện tử số {}
    """) + lines("en", """
        Citizen ID card: {}
        My Vietnamese citizen identity number is {}.
        CCCD: {}
        National ID number {}
        The chip-based ID (CCCD) reads {}
    """),
    "API_KEY_STRONG": lines("en", """
        This leaked: {}
        Could you revoke {} right away?
        The curl call with {} answers 401.
        found {} in the repo history
        -H "Authorization: Bearer {}"
        key={}
        I set it to '{}' and nothing works
        Is {} still valid?
    """) + lines("vi", """
        Em lỡ để lộ {} trên GitHub.
        Mã truy cập là {}
        Thu hồi {} giúp anh.
    """) + lines("de", """
        Bitte {} sofort sperren.
        Das Token {} ist abgelaufen.
    """) + lines("fr", """
        Le jeton {} a fuité.
    """) + lines("es", """
        La clave de API {} ya no funciona.
    """) + lines("pt", """
        O token {} vazou.
    """) + lines("zh", """
        令牌{}已经泄露
        我的API密钥是{}
    """) + lines("ja", """
        トークン{}を無効にしてください
        {}を削除してください
    """),
    "API_KEY_WEAK": lines("en", """
        api key: {}
        API_TOKEN={}
        My access token is {}
        x-api-key: {}
        export SERVICE_API_KEY="{}"
        auth_token = '{}'
        Our API key {} expired
        apikey={}
        The bearer token {} is rejected.
        const apiToken = "{}";
        Authorization: Token {}
        subscription key: {}
        license_api_key: {}
    """) + lines("vi", """
        API key của em là {}
        Mã token: {}
        Khóa truy cập API: {}
    """) + lines("de", """
        API-Schlüssel: {}
        Zugriffstoken: {}
    """) + lines("fr", """
        Clé API : {}
        Jeton d'accès : {}
    """) + lines("es", """
        Clave de API: {}
        Token de acceso: {}
    """) + lines("pt", """
        Chave de API: {}
        Token de acesso: {}
    """) + lines("zh", """
        API密钥：{}
        访问令牌：{}
    """) + lines("ja", """
        APIキー：{}
        アクセストークン：{}
    """),
    "SECRET": lines("en", """
        Password: {}
        My password is {}
        the wifi password is "{}"
        pw: {}
        user admin, pass {}
        DB_PASSWORD={}
        MYSQL_ROOT_PASSWORD: {}
        smtp password = {}
        The new passphrase is {}
        login with password {} please
        "userPassword": "{}"
        PGPASSWORD={} psql -h db
        credentials: admin / {}
        --password={}
        secret: {}
        client_secret={}
        The root pwd is {} on all nodes
        temporary password {}
        Passcode: {}
    """) + lines("vi", """
        Mật khẩu wifi: {}
        mk: {}
        Pass của em là {}
        mật khẩu mới là {}
        MK đăng nhập: {}
        Mat khau: {}
        Mật khẩu tạm thời {}
        Mật mã: {}
    """) + lines("de", """
        Passwort: {}
        Mein Kennwort ist {}
        Das neue Passwort lautet {}
        Zugangsdaten: admin / {}
    """) + lines("fr", """
        Mot de passe: {}
        Mon mot de passe est {}
        mdp : {}
        Le mot de passe wifi est {}
    """) + lines("es", """
        Contraseña: {}
        Mi contraseña es {}
        La clave del wifi es {}
        contrasena: {}
    """) + lines("pt", """
        Senha: {}
        Minha senha é {}
        A senha do banco é {}
        Palavra-passe: {}
    """) + lines("zh", """
        密码：{}
        我的密码是{}
        登录密码: {}
        口令：{}
    """) + lines("ja", """
        パスワード：{}
        パスワードは{}です
        暗証番号ではなくパスワード: {}
    """),
    "CRYPTO": lines("en", """
        Donate to {}
        Withdraw to wallet {} please
        The ransom note lists {}
        transfer 0.3 to {} tonight
        {} received the airdrop
        ETH address {}
        cold storage: {}
    """) + lines("vi", """
        Ví của anh là {}
        Gửi coin về {} nhé
        Địa chỉ ví: {}
    """) + lines("de", """
        Meine Wallet-Adresse: {}
    """) + lines("fr", """
        Mon portefeuille : {}
    """) + lines("es", """
        Mi billetera es {}.
    """) + lines("zh", """
        钱包地址：{}
        转到{}
    """) + lines("ja", """
        ウォレット：{}
    """),
    "URL_CREDENTIALS": lines("en", """
        Clone it with {}
        connection string: {}
        DATABASE_URL={}
        jdbc is odd, but {} works
        The worker logs {} on start
        broker_url = "{}"
        why does {} time out?
        SQLALCHEMY_DATABASE_URI: {}
    """) + lines("vi", """
        Kết nối tới {} không được.
        URL kết nối: {}
    """) + lines("de", """
        Verbindung: {}
    """) + lines("fr", """
        Chaîne de connexion : {}
    """) + lines("zh", """
        连接字符串：{}
    """) + lines("ja", """
        接続先は {} です
    """),
    "DATE_OF_BIRTH": lines("en", """
        Birthday: {}
        born {} in Leeds
        My birthday is {}.
        D.O.B. {}
        DOB: {}
        Date of Birth - {}
        The patient was born on {}.
        birthdate {}
        She was born {}, in Ohio.
        date of birth is {}
        Born on: {}
        my DOB is {}
        He was born in Hanoi on {}.
        bday {}
    """) + lines("vi", """
        Sinh ngày {}
        Tôi sinh ngày {} tại Huế.
        Ngày/tháng/năm sinh: {}
        Ngày sinh của bé là {}
        Em sinh {}
        sinh nhật em là {}
        ngay sinh {}
        Ngày tháng năm sinh {}
        Sinh vào ngày {}
        NTNS: {}
    """) + lines("de", """
        Geburtsdatum: {}
        Ich wurde am {} geboren.
        geb. {}
        geboren am {} in Köln
        Mein Geburtstag ist der {}.
        Geb.-Datum: {}
    """) + lines("fr", """
        Né le {} à Lyon
        Date de naissance: {}
        Je suis né le {}.
        Elle est née le {}.
        ma date de naissance est le {}
    """) + lines("es", """
        Fecha de nacimiento: {}
        Nací el {} en Bogotá.
        Mi cumpleaños es el {}.
        nacido el {}
        F. nac.: {}
    """) + lines("pt", """
        Data de nascimento: {}
        Nasci em {} no Recife.
        Meu aniversário é {}.
        nascida em {}
    """) + lines("zh", """
        出生日期: {}
        我出生于{}
        生日：{}
        他{}出生
        出生年月日：{}
    """) + lines("ja", """
        生年月日: {}
        誕生日は{}です
        私は{}生まれです
        {}に生まれました
    """),
    "PASSPORT": lines("en", """
        Passport number: {}
        My passport is {}.
        passport no {}
        Passport # {}
        She travels on passport {}
        The passport {} expires next year.
        passport ID: {}
        Travel document no. {}
        PPT No: {}
    """) + lines("vi", """
        Hộ chiếu số {}
        số hộ chiếu của tôi là {}
        Passport: {}
        So ho chieu: {}
        Hộ chiếu mang số {}
        Số HC: {}
    """) + lines("de", """
        Reisepass: {}
        Meine Reisepassnummer ist {}.
        Pass-Nr. {}
        Passnummer {}
    """) + lines("fr", """
        Passeport numéro {}
        N° de passeport : {}
        mon passeport est le {}
    """) + lines("es", """
        Pasaporte: {}
        Número de pasaporte {}
        Mi pasaporte es el {}
    """) + lines("pt", """
        Passaporte: {}
        Número do passaporte: {}
        Meu passaporte é {}
    """) + lines("zh", """
        护照号：{}
        我的护照号码是{}
        护照 {}
    """) + lines("ja", """
        パスポート番号：{}
        旅券番号は{}です
        パスポート: {}
    """),
    "PERSON": lines("en", """
        My name's {} and I need help.
        Hi, I'm called {}.
        Full name: {}
        Dear Mr. {},
        Patient name: {}
        Signed, Dr. {}
        Attn: {}
        Applicant: {}
        Mrs. {} called this morning.
        I spoke with Ms. {} yesterday.
        Employee: {}
        The account holder is {}.
        His name is {}.
        Her full name is {}.
        Contact person: {}
        Prepared by: {}
        Passenger name: {}
        name on the card: {}
        Professor {} will examine you.
        Guest name: {}
        Recipient: {}
        Emergency contact: {}
        Tenant: {}
    """) + lines("vi", """
        Tôi tên là {}.
        Em tên {} ạ
        Họ tên: {}
        Tên khách hàng: {}
        Khách hàng {} phản ánh dịch vụ.
        Chủ tài khoản: {}
        Người nhận: {}
        Kính gửi ông {},
        Bác sĩ {} đã khám.
        Chị {} gọi lại giúp em.
        Tên bệnh nhân: {}
        Người đại diện: {}
        Nhân viên {} xử lý đơn.
        Người liên hệ: {}
        Tên người nhận: {}
        Mình là {} bên kế toán.
        Ông {} đã ký.
        Tên tôi là {}
        Thầy {} dạy Toán.
        Học sinh: {}
        Tên chủ thẻ: {}
        Ho ten: {}
        Luật sư {} tư vấn.
    """) + lines("de", """
        Ich heiße {}.
        Name des Patienten: {}
        Sehr geehrte Frau {},
        Kundenname: {}
        Ansprechpartner: {}
        Mein Name lautet {}.
        Vor- und Nachname: {}
        Herr {} hat angerufen.
        Kontoinhaber: {}
    """) + lines("fr", """
        Mon nom est {}.
        Nom et prénom : {}
        Chère Madame {},
        Monsieur {} a rappelé.
        Nom du patient : {}
        Nom complet : {}
        Titulaire du compte : {}
        Mme {} est absente.
    """) + lines("es", """
        Me llamo {}.
        Mi nombre es {}.
        Nombre completo: {}
        Estimado Sr. {},
        La señora {} llamó ayer.
        Nombre y apellidos: {}
        Titular de la cuenta: {}
        Paciente: {}
    """) + lines("pt", """
        Meu nome é {}.
        Eu me chamo {}.
        Nome completo: {}
        Prezado Sr. {},
        Nome do paciente: {}
        Titular da conta: {}
        A senhora {} ligou.
    """) + lines("zh", """
        我叫{}。
        姓名：{}
        我的名字叫{}，请多关照。
        患者姓名：{}
        联系人：{}
        收件人：{}
        客户姓名：{}
    """) + lines("ja", """
        私の名前は{}です。
        お名前：{}
        氏名: {}
        患者名：{}
        担当者：{}
        {}と申します。
        お客様名：{}
    """),
}

# Keys of structured data, for any language of the surrounding text.
KEYS = {
    "EMAIL": "e_mail emailAddr contact_email billing_email correo courriel userEmail mail_address replyTo".split(),
    "PHONE": "phone_number tel mobilePhone cell_phone telephone so_dien_thoai sdt telefono telefone dien_thoai phone_no homePhone work_phone telefonnummer handy".split(),
    "CREDIT_CARD": "card creditCardNumber card_no pan ccnum payment_card so_the kreditkarte tarjeta debit_card_number".split(),
    "IBAN": "IBAN bank_iban beneficiary_iban ibanNumber account_number bankAccount".split(),
    "US_SSN": "ssn SSN ss_number socialSecurityNumber employee_ssn taxpayer_ssn ssn_no social_security".split(),
    "IP_ADDRESS": "ip ipAddress source_ip src_ip dst_ip host_ip x_forwarded_for peer_addr gateway nameserver".split(),
    "VN_CMND": "so_cmnd cmnd_number soCmnd chung_minh_nhan_dan CMT cmtnd id_card_number".split(),
    "VN_CCCD": "cccd soCCCD cccd_number citizen_id national_id canCuocCongDan so_dinh_danh identity_number".split(),
    "API_KEY": "api_key apiKey API_TOKEN auth_token x-api-key service_api_key secretToken bearer_token accessToken api_secret".split(),
    "SECRET": "password userPassword pwd PASSWORD db_pass admin_password mat_khau clientSecret secret smtp_password passphrase senha passwort contrasena".split(),
    "CRYPTO": "wallet btc_address ethAddress wallet_address withdraw_to deposit_address".split(),
    "URL_CREDENTIALS": "connection_string db_url REDIS_URL broker mongo_uri amqp_url remote_url".split(),
    "DATE_OF_BIRTH": "date_of_birth birthDate DOB birthday ngaySinh dateOfBirth geburtsdatum fecha_nacimiento data_nascimento date_naissance birth_dt patient_dob".split(),
    "PASSPORT": "passport_no passportNo passport_number so_ho_chieu reisepass pasaporte numero_passeport travel_document_number PASSPORT_NO".split(),
    "PERSON": "customer_name fullname patientName ho_ten contact_name recipient_name ho_va_ten nombre_completo nome_completo cardholderName employee_name account_holder guest_name".split(),
}

# Nothing personal in these; `{name}` calls a generator of noise.
NEGATIVES = lines("en", """
    Parcel {tracking} left the depot.
    Your reference is {order}, keep it.
    Upgrade from {version4} to {version4} first.
    The chipset firmware {version4} fixes it.
    Checksum {hash} does not match.
    Case number {nine} was closed.
    ISBN {isbn} is out of print.
    We sold {nine} units and {ten} views.
    Epoch {epoch} is in the past.
    Coordinates {geo} are in the sea.
    The webinar is on {date}.
    Published {date}, revised {date}.
    Invoice {order} dated {date} totals {money}.
    Contract effective date: {date}
    What is a passport number and where do I find it?
    How do I store a password safely?
    The password must have 12 characters and 2 digits.
    Reset your password here: https://example.com/reset
    Name: unknown
    My name is not important.
    Dear Customer Support, nothing works.
    Patient: see attachment
    Employee of the month: vacant
    Mr. and Dr. are short for longer words.
    Serial {serial} is under warranty.
    Model {part} replaces {part}.
    Item {part} costs {money}.
    Run git clone git@github.com:acme/{word}.git first.
    npm i {word}@{version3} broke the build.
    Follow @{word} on social media.
    uuid {uuid} was not found
    request_id={uuid} took {small} ms
    The test card {badcard} is rejected by Luhn.
    Account {badiban} fails validation.
    An SSN such as {badssn} is never issued.
    Room {small}, floor {small}, {time}.
    Set API_KEY=<your key> and PASSWORD=changeme in .env
    password = os.environ["DB_PASSWORD"]
    token = getToken(user)
    api_key: ${{ secrets.API_KEY }}
    Use https://user:password@host as a pattern.
    Scores: {ten}, {nine}, {small}
    pi is 3.14159265358979 and e is 2.718281828459
    lambda@edge and price@{small} are no mail addresses.
    Phone support closes at {time}.
    Text size {small} px, card width {small} px.
    The Hopper release, see {date}.
    Kernel {version4} panics.
    Chrome {version4} is out.
    transaction id {txn} settled
    Purchase order {order} for {small} pcs
    Batch {nine} passed QA on {date}.
    SKU {part}
    Zip code {five}, box {small}
    The quick ratio is {small}:{small}.
    FAX machines are obsolete since {year}.
    Birth rates fell in {year}; {date} was a holiday.
    Passport control opens at {time}.
    Social security reform was passed on {date}.
    Author: see CONTRIBUTORS
    Contact: support desk
    id {nine}, parent {nine}
    The server is at rack {small}.
    def __init__(self, name: str, phone: str, ssn: str = ""):
    assert parse("{version3}") < parse("{version4}")
    sha256:{hash}
    Ticket {nine} links to {order}
    Session {hash} expired
    Employee ID {nine}
    Member no. {ten}
    Meter reading {nine}
    wallet sizes are S, M, L
    bitcoin fell to {money}
""") + lines("vi", """
    Đơn hàng {order} đã giao ngày {date}.
    Mã vận đơn {tracking} đang ở kho.
    Hóa đơn {order} trị giá {money}.
    Cuộc họp dời sang {date}.
    Phiên bản {version4} đã phát hành.
    Số sê-ri {serial} còn bảo hành.
    Mã số thuế {ten} của doanh nghiệp
    Em quên mật khẩu rồi ạ.
    CMND là gì và đổi sang CCCD ở đâu?
    Hộ chiếu hết hạn thì làm sao?
    Anh ấy nói sẽ gọi lại sau.
    Chị Google nói đường này tắc.
    Ông bà nội về quê ngày {date}.
    Công văn số {nine} ngày {date}
    Số lô {nine}, hạn dùng {date}
    Doanh thu đạt {money} trong năm {year}.
    Số điện thoại: không có
    Khách hàng: (chưa rõ)
    Tên: đang cập nhật
    Mã sinh viên {nine}
    Số hợp đồng {ten} ký ngày {date}
    Biên lai {txn}
    Căn cước công dân có 12 số.
""") + lines("de", """
    Die Rechnung {order} vom {date} ist offen.
    Sendung {tracking} wurde zugestellt.
    Version {version4} ist erschienen.
    Wie ändere ich mein Passwort?
    Herr der Ringe läuft am {date}.
    Seriennummer {serial}
    Die Artikelnummer {nine} fehlt.
    Frau und Mann zahlen {money}.
    Der Name ist schon vergeben.
    Kundennummer {nine}
""") + lines("fr", """
    La commande {order} du {date} est prête.
    Version {version4} disponible.
    Numéro de série {serial}
    Madame, Monsieur, merci de votre patience.
    Mot de passe oublié ?
    Le colis {tracking} est en transit.
    Montant {money} payé le {date}
    Réf. client {nine}
""") + lines("es", """
    El pedido {order} llega el {date}.
    La versión {version4} falla.
    Olvidé mi contraseña, ¿qué hago?
    Factura {order} por {money}
    El señor de los anillos
    Número de serie {serial}
    Código {nine}
""") + lines("pt", """
    O pedido {order} chega em {date}.
    Versão {version4} lançada.
    Esqueci minha senha.
    Nota fiscal {order} de {money}
    Número de série {serial}
    Código {nine}
""") + lines("zh", """
    订单{order}已发货。
    版本{version4}有问题。
    会议改到{date}。
    如何修改密码？
    快递单号{tracking}
    序列号：{serial}
    型号{part}缺货
    编号{nine}
    护照过期了怎么办？
""") + lines("ja", """
    注文{order}は発送済みです。
    バージョン{version4}が公開されました。
    会議は{date}に変更です。
    パスワードを変更したい。
    追跡番号{tracking}
    製造番号：{serial}
    型番{part}は在庫切れです
    管理番号{nine}
""")

NOISE_KEYS = "orderId invoice_no tracking_number createdAt updated_at build app_version revision sha sku partNo serial_number reference trace session_id request_id amount quantity score duration_ms epoch lot shipment_id employee_id customer_id product_code tax_code checksum lat_long isbn".split()

FILLERS = {
    "en": ["Thanks a lot in advance.", "Could you proofread this?", "The rest can wait until Monday.", "I have attached the file.", "It still fails on staging.", "Keep it short.", "We open at nine."],
    "vi": ["Cảm ơn anh chị nhiều.", "Em chờ phản hồi ạ.", "Dịch giúp em đoạn này.", "Hôm nay trời mưa to.", "Vẫn chưa thấy tiền về."],
    "de": ["Vielen Dank im Voraus.", "Bitte kurz prüfen.", "Es regnet seit Stunden."],
    "fr": ["Merci d'avance.", "Pouvez-vous vérifier ?", "Il pleut encore."],
    "es": ["Muchas gracias.", "¿Puedes revisarlo?", "Sigue sin funcionar."],
    "pt": ["Muito obrigado.", "Pode verificar?", "Ainda não funciona."],
    "zh": ["麻烦您了。", "请尽快处理。", "还是不行。"],
    "ja": ["お願いいたします。", "至急対応してください。", "まだ動きません。"],
}
