//! Phrases that announce what follows them: folded to lower-case ASCII where the script allows.
//! English, Vietnamese, German, French, Spanish, Portuguese, Chinese, Japanese.

use super::Cue;

macro_rules! phrases {
    ($($cue:ident: $($phrase:literal)*;)*) => {
        pub(super) const PHRASES: &[(&str, Cue)] = &[$($(($phrase, Cue::$cue)),*),*];
    };
}

phrases! {
    Phone: "phone" "phonenumber" "phones" "telephone" "tel" "telefon" "telefono" "telefone" "mobile" "mobil" "cell"
        "cellphone" "cellular" "celular" "movil" "handy" "handynummer" "mobilnummer" "telefonnummer"
        "rufnummer" "rueckrufnummer" "sms" "whatsapp" "zalo" "viber" "msisdn" "call" "text" "fax" "reach me" "call me" "text me"
        "hotline" "contact number" "contact no" "portable" "joindre au" "joignable au" "appelez le"
        "numero de telephone" "sdt" "so dt" "dt" "dien thoai" "so dien thoai" "di dong" "so di dong"
        "so may" "lien he" "goi" "so lien lac" "电话" "電話" "手机" "手機" "手机号" "手机号码" "拨打" "联系方式"
        "电话号码" "電話番号" "携帯" "携帯番号" "連絡先" "微信" "微信同号";
    Card: "card" "cardnumber" "cards" "card number" "card no" "credit card" "debit card" "cc" "ccn" "cc number" "pan" "visa"
        "mastercard" "amex" "credit card number" "new card" "kreditkarte" "kartennummer" "karte" "carte bancaire" "carte"
        "numero de carte" "tarjeta" "numero de tarjeta" "cartao" "numero do cartao" "so the" "the tin dung" "the ghi no"
        "the atm" "the atm noi dia" "the napas" "the visa"  "信用卡" "卡号" "卡號" "银行卡" "カード番号" "カード";
    Iban: "iban" "account iban" "payee" "lastschrift" "virement";
    Ssn: "ssn" "social security" "social security number" "social security no" "ss number" "social" "socials";
    NationalId: "cmnd" "cccd" "cmt" "cmtnd" "chung minh nhan dan" "chung minh thu" "so chung minh" "can cuoc"
        "can cuoc cong dan" "the can cuoc" "so can cuoc" "so can cuoc cong dan" "id card" "id card number" "id card no"
        "national id" "national id number" "citizen id" "citizen id number" "identity card" "identity number"
        "identity card number" "so dinh danh" "dinh danh ca nhan" "ma dinh danh" "so giay to" "identification number"
        "cmnd number" "cccd number" "nid" "cmndnumber" "cccdnumber" "cmnd cu";
    Passport: "passport" "passports" "passport number" "passport no" "reisepass" "reisepassnummer" "passnummer"
        "passeport" "numero de passeport" "pasaporte" "numero de pasaporte" "passaporte" "ho chieu" "so ho chieu"
        "passportnumber" "护照" "护照号" "护照号码" "護照" "旅券" "旅券番号" "パスポート" "パスポート番号";
    Birth: "born" "dob" "d o b" "date of birth" "birth date" "birthdate" "birthday" "birth" "bday" "geboren" "geboren am"
        "geburtsdatum" "geburtstag" "geb" "nee le" "ne le" "naissance" "date de naissance" "nacimiento"
        "fecha de nacimiento" "nacido" "nacida" "nascimento" "data de nascimento" "nascido" "nascida" "ngay sinh"
        "nam sinh" "sinh ngay" "sinh nam" "sinh nhat" "ngay thang nam sinh" "sinh vao" "生年月日" "誕生日" "出生日期" "出生"
        "生日" "生于";
    Ip: "ip" "ips" "ip address" "client ip" "remote ip" "remote addr" "server" "host" "dia chi ip" "may chu" "adresse ip"
        "ip adresse" "服务器" "サーバー";
    Crypto: "wallet" "wallet address" "btc" "bitcoin" "eth" "ethereum" "payout address";
    Secret: "password" "password is" "passwort lautet" "passwort ist" "mot de passe est" "mat khau dang nhap" "mat khau la" "contrasena es" "senha e" "clientsecret" "passwords" "passwd" "passphrase" "pwd" "pass" "pw" "secret" "client secret" "secret key"
        "secret access key" "mat khau" "mk" "passwort" "kennwort" "mot de passe" "mdp" "contrasena" "clave" "senha"
        "密码" "密碼" "口令" "パスワード" "db pass" "credential" "credentials" "private key" "encryption key"
        "signing key" "signing secret" "webhook secret";
    ApiKey: "api key" "apikey" "api token" "access token" "auth token" "auth key" "token" "bearer" "refresh token"
        "access key" "access key id" "authorization" "secret token" "bot token" "khoa api" "密钥" "apiキー" "キー"
        "api secret" "app secret" "api secret key" "private token" "x api key";
    Account: "account" "account number" "account no" "bank account" "so tai khoan" "tai khoan" "stk" "kontonummer"
        "konto" "numero de compte" "numero de cuenta" "conta" "routing number" "口座番号" "账号" "银行账号";
    Other: "display name" "file name" "filename" "domain name" "host name" "brand name" "product name" "class name" "key name" "table name" "column name" "project name" "service name" "package name" "company name" "app name" "device name" "event name" "tool name" "function name" "model name" "bucket name" "team name" "group name" "hotel name" "school name" "city name" "street name" "ten cong ty" "ten san pham" "ten file" "ten mien" "ten hang" "ten truong" "ten du an" "order" "orders" "order id" "order number" "order no" "invoice" "invoice no" "invoice number" "ticket" "case"
        "batch" "lot" "seq" "sequence" "count" "tracking" "tracking number" "tracking no" "shipment" "sku" "part"
        "part number" "part no" "pn" "model" "version" "ver" "app version" "build" "release" "firmware" "v" "rev"
        "revision" "isbn" "issn" "ean" "upc" "transaction" "transaction id" "txn" "txid" "message id" "msg id" "msgid"
        "trace id" "span id" "object id" "request id" "session id" "session" "product" "product id" "item" "item id"
        "serial" "serial number" "serial no" "timestamp" "ts" "time" "created at" "updated at" "created" "updated" "opened" "score"
        "amount" "price" "total" "sum" "population" "ref" "reference" "reference number" "ref no" "vat" "vat id" "tax"
        "tax id" "tax code" "tin" "ein" "mst" "ma so thue" "ma don" "don hang" "ma don hang" "hoa don" "ma van don" "van don" "ma giao dich"
        "giao dich" "lo hang" "lo" "bien so" "bien so xe" "so seri" "ma san pham" "ma" "ma nhan vien" "phien ban" "ma bhxh" "bhxh"
        "commande" "facture" "bestellung" "bestellnummer" "rechnung" "rechnungsnummer" "beleg" "ust idnr" "pedido"
        "factura" "fatura" "订单" "订单号" "发票" "請求書" "注文" "注文番号" "型番" "快递单号" "单号" "chrome" "python" "java" "php" "ruby" "golang" "nginx" "kernel" "linux" "ubuntu" "ios" "android" "windows" "driver" "software" "mysql" "redis" "docker" "curl" "firefox" "safari"
        "edg" "opr" "version number" "checksum" "hash" "digest" "commit" "etag" "uuid" "guid"
        "pid" "port" "bytes" "size" "flight" "pin" "location" "lat" "lng" "coordinates" "temperature" "sort" "between"
        "issued" "issue date" "expires" "expiry" "expiration" "exp" "ngay cap" "cap ngay" "het han" "ngay het han" "valid until"
        "meeting" "lotto" "lotto numbers" "lottery" "winning numbers" "private key id" "key id" "due" "deadline"   "created on" "postal code" "zip" "zip code" "offset" "record" "row" "index" "image" "thumbnail" "upgrade to" "upgraded to"
        "cost" "took" "loss" "step"  "gas" "nonce" "licence" "license" "issue" "bug" "job" "jobs" "employee id" "customer id" "user id" "lot number" "batch number" "lot no" "bank code" "swift" "bic";
    Label: "name" "nombre" "nome" "ten" "contact" "author" "student" "doctor" "owner" "recipient" "sender" "applicant" "employee name" "sinh vien ten";
    Person: "my name s" "given name" "family name" "middle name" "名字叫" "vorname" "nachname" "prenom" "apellido" "apellidos" "sobrenome" "my name is" "his name is" "her name is" "the name is" "customer name is" "patient name is" "name on the card is" "legal name is" "real name is" "my full name is" "i am called" "full name" "fullname"  "first name" "last name"
        "surname" "customer name" "patient name" "contact name" "cardholder" "cardholder name" "account holder"
        "ho va ten" "ho ten" "hoten" "ten toi la" "toi ten la" "toi ten" "em ten" "em ten la" "ten em la" "ten la" "ten khach hang"
        "ten benh nhan" "mein name ist"  "ich heisse" "je m appelle" "m appelle" "mon nom est"
        "nom complet" "me llamo" "mi nombre es"  "nombre completo" "meu nome e" "me chamo" "nome completo"
         "姓名" "名字是" "我叫" "氏名" "お名前" "名前は" "名前" "名字";
    Title: "mr" "mrs" "ms" "miss" "dr" "prof" "professor" "mister" "sir" "herr" "herrn" "frau" "monsieur" "madame"
        "mme" "mlle" "cher m" "chere mme" "senor" "senora" "sr" "sra" "senhor" "senhora" "dona";
    Role: "sinh vien" "hoc sinh" "thi sinh" "ke toan" "luat su" "ky su" "chuyen vien" "truong nhom" "thay" "chu nha" "benh nhan ten" "signed by" "reporter" "reported by" "dear" "sincerely" "employee" "patient" "customer" "manager" "attn" "attention"
        "assignee"   "nhan vien" "khach hang" "benh nhan" "giam doc" "kinh gui anh" "kinh gui chi"
        "kinh gui ong" "kinh gui ba" "kinh gui" "ong" "ba" "anh" "chi" "co" "chu" "bac" "em" "ban doc" "bac si" "giao vien"
        "truong phong" "nguoi dung" "nguoi gui" "nguoi nhan" "nguoi lien he" "chu the" "chu tai khoan" "kunde"
        "kundin" "client" "cliente" "patientin" "paciente";
}
