var e=globalThis,t=e.ShadowRoot&&(e.ShadyCSS===void 0||e.ShadyCSS.nativeShadow)&&`adoptedStyleSheets`in Document.prototype&&`replace`in CSSStyleSheet.prototype,n=Symbol(),r=new WeakMap,i=class{constructor(e,t,r){if(this._$cssResult$=!0,r!==n)throw Error("CSSResult is not constructable. Use `unsafeCSS` or `css` instead.");this.cssText=e,this.t=t}get styleSheet(){let e=this.o,n=this.t;if(t&&e===void 0){let t=n!==void 0&&n.length===1;t&&(e=r.get(n)),e===void 0&&((this.o=e=new CSSStyleSheet).replaceSync(this.cssText),t&&r.set(n,e))}return e}toString(){return this.cssText}},a=e=>new i(typeof e==`string`?e:e+``,void 0,n),o=(e,...t)=>new i(e.length===1?e[0]:t.reduce((t,n,r)=>t+(e=>{if(!0===e._$cssResult$)return e.cssText;if(typeof e==`number`)return e;throw Error(`Value passed to 'css' function must be a 'css' function result: `+e+`. Use 'unsafeCSS' to pass non-literal values, but take care to ensure page security.`)})(n)+e[r+1],e[0]),e,n),s=(n,r)=>{if(t)n.adoptedStyleSheets=r.map(e=>e instanceof CSSStyleSheet?e:e.styleSheet);else for(let t of r){let r=document.createElement(`style`),i=e.litNonce;i!==void 0&&r.setAttribute(`nonce`,i),r.textContent=t.cssText,n.appendChild(r)}},c=t?e=>e:e=>e instanceof CSSStyleSheet?(e=>{let t=``;for(let n of e.cssRules)t+=n.cssText;return a(t)})(e):e,{is:l,defineProperty:u,getOwnPropertyDescriptor:d,getOwnPropertyNames:f,getOwnPropertySymbols:p,getPrototypeOf:m}=Object,ee=globalThis,te=ee.trustedTypes,ne=te?te.emptyScript:``,re=ee.reactiveElementPolyfillSupport,ie=(e,t)=>e,ae={toAttribute(e,t){switch(t){case Boolean:e=e?ne:null;break;case Object:case Array:e=e==null?e:JSON.stringify(e)}return e},fromAttribute(e,t){let n=e;switch(t){case Boolean:n=e!==null;break;case Number:n=e===null?null:Number(e);break;case Object:case Array:try{n=JSON.parse(e)}catch{n=null}}return n}},oe=(e,t)=>!l(e,t),se={attribute:!0,type:String,converter:ae,reflect:!1,useDefault:!1,hasChanged:oe};Symbol.metadata??=Symbol(`metadata`),ee.litPropertyMetadata??=new WeakMap;var h=class extends HTMLElement{static addInitializer(e){this._$Ei(),(this.l??=[]).push(e)}static get observedAttributes(){return this.finalize(),this._$Eh&&[...this._$Eh.keys()]}static createProperty(e,t=se){if(t.state&&(t.attribute=!1),this._$Ei(),this.prototype.hasOwnProperty(e)&&((t=Object.create(t)).wrapped=!0),this.elementProperties.set(e,t),!t.noAccessor){let n=Symbol(),r=this.getPropertyDescriptor(e,n,t);r!==void 0&&u(this.prototype,e,r)}}static getPropertyDescriptor(e,t,n){let{get:r,set:i}=d(this.prototype,e)??{get(){return this[t]},set(e){this[t]=e}};return{get:r,set(t){let a=r?.call(this);i?.call(this,t),this.requestUpdate(e,a,n)},configurable:!0,enumerable:!0}}static getPropertyOptions(e){return this.elementProperties.get(e)??se}static _$Ei(){if(this.hasOwnProperty(ie(`elementProperties`)))return;let e=m(this);e.finalize(),e.l!==void 0&&(this.l=[...e.l]),this.elementProperties=new Map(e.elementProperties)}static finalize(){if(this.hasOwnProperty(ie(`finalized`)))return;if(this.finalized=!0,this._$Ei(),this.hasOwnProperty(ie(`properties`))){let e=this.properties,t=[...f(e),...p(e)];for(let n of t)this.createProperty(n,e[n])}let e=this[Symbol.metadata];if(e!==null){let t=litPropertyMetadata.get(e);if(t!==void 0)for(let[e,n]of t)this.elementProperties.set(e,n)}this._$Eh=new Map;for(let[e,t]of this.elementProperties){let n=this._$Eu(e,t);n!==void 0&&this._$Eh.set(n,e)}this.elementStyles=this.finalizeStyles(this.styles)}static finalizeStyles(e){let t=[];if(Array.isArray(e)){let n=new Set(e.flat(1/0).reverse());for(let e of n)t.unshift(c(e))}else e!==void 0&&t.push(c(e));return t}static _$Eu(e,t){let n=t.attribute;return!1===n?void 0:typeof n==`string`?n:typeof e==`string`?e.toLowerCase():void 0}constructor(){super(),this._$Ep=void 0,this.isUpdatePending=!1,this.hasUpdated=!1,this._$Em=null,this._$Ev()}_$Ev(){this._$ES=new Promise(e=>this.enableUpdating=e),this._$AL=new Map,this._$E_(),this.requestUpdate(),this.constructor.l?.forEach(e=>e(this))}addController(e){(this._$EO??=new Set).add(e),this.renderRoot!==void 0&&this.isConnected&&e.hostConnected?.()}removeController(e){this._$EO?.delete(e)}_$E_(){let e=new Map,t=this.constructor.elementProperties;for(let n of t.keys())this.hasOwnProperty(n)&&(e.set(n,this[n]),delete this[n]);e.size>0&&(this._$Ep=e)}createRenderRoot(){let e=this.shadowRoot??this.attachShadow(this.constructor.shadowRootOptions);return s(e,this.constructor.elementStyles),e}connectedCallback(){this.renderRoot??=this.createRenderRoot(),this.enableUpdating(!0),this._$EO?.forEach(e=>e.hostConnected?.())}enableUpdating(e){}disconnectedCallback(){this._$EO?.forEach(e=>e.hostDisconnected?.())}attributeChangedCallback(e,t,n){this._$AK(e,n)}_$ET(e,t){let n=this.constructor.elementProperties.get(e),r=this.constructor._$Eu(e,n);if(r!==void 0&&!0===n.reflect){let i=(n.converter?.toAttribute===void 0?ae:n.converter).toAttribute(t,n.type);this._$Em=e,i==null?this.removeAttribute(r):this.setAttribute(r,i),this._$Em=null}}_$AK(e,t){let n=this.constructor,r=n._$Eh.get(e);if(r!==void 0&&this._$Em!==r){let e=n.getPropertyOptions(r),i=typeof e.converter==`function`?{fromAttribute:e.converter}:e.converter?.fromAttribute===void 0?ae:e.converter;this._$Em=r;let a=i.fromAttribute(t,e.type);this[r]=a??this._$Ej?.get(r)??a,this._$Em=null}}requestUpdate(e,t,n,r=!1,i){if(e!==void 0){let a=this.constructor;if(!1===r&&(i=this[e]),n??=a.getPropertyOptions(e),!((n.hasChanged??oe)(i,t)||n.useDefault&&n.reflect&&i===this._$Ej?.get(e)&&!this.hasAttribute(a._$Eu(e,n))))return;this.C(e,t,n)}!1===this.isUpdatePending&&(this._$ES=this._$EP())}C(e,t,{useDefault:n,reflect:r,wrapped:i},a){n&&!(this._$Ej??=new Map).has(e)&&(this._$Ej.set(e,a??t??this[e]),!0!==i||a!==void 0)||(this._$AL.has(e)||(this.hasUpdated||n||(t=void 0),this._$AL.set(e,t)),!0===r&&this._$Em!==e&&(this._$Eq??=new Set).add(e))}async _$EP(){this.isUpdatePending=!0;try{await this._$ES}catch(e){Promise.reject(e)}let e=this.scheduleUpdate();return e!=null&&await e,!this.isUpdatePending}scheduleUpdate(){return this.performUpdate()}performUpdate(){if(!this.isUpdatePending)return;if(!this.hasUpdated){if(this.renderRoot??=this.createRenderRoot(),this._$Ep){for(let[e,t]of this._$Ep)this[e]=t;this._$Ep=void 0}let e=this.constructor.elementProperties;if(e.size>0)for(let[t,n]of e){let{wrapped:e}=n,r=this[t];!0!==e||this._$AL.has(t)||r===void 0||this.C(t,void 0,n,r)}}let e=!1,t=this._$AL;try{e=this.shouldUpdate(t),e?(this.willUpdate(t),this._$EO?.forEach(e=>e.hostUpdate?.()),this.update(t)):this._$EM()}catch(t){throw e=!1,this._$EM(),t}e&&this._$AE(t)}willUpdate(e){}_$AE(e){this._$EO?.forEach(e=>e.hostUpdated?.()),this.hasUpdated||(this.hasUpdated=!0,this.firstUpdated(e)),this.updated(e)}_$EM(){this._$AL=new Map,this.isUpdatePending=!1}get updateComplete(){return this.getUpdateComplete()}getUpdateComplete(){return this._$ES}shouldUpdate(e){return!0}update(e){this._$Eq&&=this._$Eq.forEach(e=>this._$ET(e,this[e])),this._$EM()}updated(e){}firstUpdated(e){}};h.elementStyles=[],h.shadowRootOptions={mode:`open`},h[ie(`elementProperties`)]=new Map,h[ie(`finalized`)]=new Map,re?.({ReactiveElement:h}),(ee.reactiveElementVersions??=[]).push(`2.1.2`);var ce=globalThis,le=e=>e,ue=ce.trustedTypes,de=ue?ue.createPolicy(`lit-html`,{createHTML:e=>e}):void 0,fe=`$lit$`,g=`lit$${Math.random().toFixed(9).slice(2)}$`,pe=`?`+g,me=`<${pe}>`,_=document,v=()=>_.createComment(``),y=e=>e===null||typeof e!=`object`&&typeof e!=`function`,he=Array.isArray,ge=e=>he(e)||typeof e?.[Symbol.iterator]==`function`,_e=`[ 	
\f\r]`,b=/<(?:(!--|\/[^a-zA-Z])|(\/?[a-zA-Z][^>\s]*)|(\/?$))/g,ve=/-->/g,ye=/>/g,x=RegExp(`>|${_e}(?:([^\\s"'>=/]+)(${_e}*=${_e}*(?:[^ \t\n\f\r"'\`<>=]|("|')|))|$)`,`g`),be=/'/g,xe=/"/g,Se=/^(?:script|style|textarea|title)$/i,Ce=e=>(t,...n)=>({_$litType$:e,strings:t,values:n}),S=Ce(1),C=Ce(2),w=Symbol.for(`lit-noChange`),T=Symbol.for(`lit-nothing`),we=new WeakMap,E=_.createTreeWalker(_,129);function Te(e,t){if(!he(e)||!e.hasOwnProperty(`raw`))throw Error(`invalid template strings array`);return de===void 0?t:de.createHTML(t)}var Ee=(e,t)=>{let n=e.length-1,r=[],i,a=t===2?`<svg>`:t===3?`<math>`:``,o=b;for(let t=0;t<n;t++){let n=e[t],s,c,l=-1,u=0;for(;u<n.length&&(o.lastIndex=u,c=o.exec(n),c!==null);)u=o.lastIndex,o===b?c[1]===`!--`?o=ve:c[1]===void 0?c[2]===void 0?c[3]!==void 0&&(o=x):(Se.test(c[2])&&(i=RegExp(`</`+c[2],`g`)),o=x):o=ye:o===x?c[0]===`>`?(o=i??b,l=-1):c[1]===void 0?l=-2:(l=o.lastIndex-c[2].length,s=c[1],o=c[3]===void 0?x:c[3]===`"`?xe:be):o===xe||o===be?o=x:o===ve||o===ye?o=b:(o=x,i=void 0);let d=o===x&&e[t+1].startsWith(`/>`)?` `:``;a+=o===b?n+me:l>=0?(r.push(s),n.slice(0,l)+fe+n.slice(l)+g+d):n+g+(l===-2?t:d)}return[Te(e,a+(e[n]||`<?>`)+(t===2?`</svg>`:t===3?`</math>`:``)),r]},De=class e{constructor({strings:t,_$litType$:n},r){let i;this.parts=[];let a=0,o=0,s=t.length-1,c=this.parts,[l,u]=Ee(t,n);if(this.el=e.createElement(l,r),E.currentNode=this.el.content,n===2||n===3){let e=this.el.content.firstChild;e.replaceWith(...e.childNodes)}for(;(i=E.nextNode())!==null&&c.length<s;){if(i.nodeType===1){if(i.hasAttributes())for(let e of i.getAttributeNames())if(e.endsWith(fe)){let t=u[o++],n=i.getAttribute(e).split(g),r=/([.?@])?(.*)/.exec(t);c.push({type:1,index:a,name:r[2],strings:n,ctor:r[1]===`.`?Ae:r[1]===`?`?je:r[1]===`@`?Me:O}),i.removeAttribute(e)}else e.startsWith(g)&&(c.push({type:6,index:a}),i.removeAttribute(e));if(Se.test(i.tagName)){let e=i.textContent.split(g),t=e.length-1;if(t>0){i.textContent=ue?ue.emptyScript:``;for(let n=0;n<t;n++)i.append(e[n],v()),E.nextNode(),c.push({type:2,index:++a});i.append(e[t],v())}}}else if(i.nodeType===8){if(i.data===pe)c.push({type:2,index:a});else{let e=-1;for(;(e=i.data.indexOf(g,e+1))!==-1;)c.push({type:7,index:a}),e+=g.length-1}}a++}}static createElement(e,t){let n=_.createElement(`template`);return n.innerHTML=e,n}};function D(e,t,n=e,r){if(t===w)return t;let i=r===void 0?n._$Cl:n._$Co?.[r],a=y(t)?void 0:t._$litDirective$;return i?.constructor!==a&&(i?._$AO?.(!1),a===void 0?i=void 0:(i=new a(e),i._$AT(e,n,r)),r===void 0?n._$Cl=i:(n._$Co??=[])[r]=i),i!==void 0&&(t=D(e,i._$AS(e,t.values),i,r)),t}var Oe=class{constructor(e,t){this._$AV=[],this._$AN=void 0,this._$AD=e,this._$AM=t}get parentNode(){return this._$AM.parentNode}get _$AU(){return this._$AM._$AU}u(e){let{el:{content:t},parts:n}=this._$AD,r=(e?.creationScope??_).importNode(t,!0);E.currentNode=r;let i=E.nextNode(),a=0,o=0,s=n[0];for(;s!==void 0;){if(a===s.index){let t;s.type===2?t=new ke(i,i.nextSibling,this,e):s.type===1?t=new s.ctor(i,s.name,s.strings,this,e):s.type===6&&(t=new Ne(i,this,e)),this._$AV.push(t),s=n[++o]}a!==s?.index&&(i=E.nextNode(),a++)}return E.currentNode=_,r}p(e){let t=0;for(let n of this._$AV)n!==void 0&&(n.strings===void 0?n._$AI(e[t]):(n._$AI(e,n,t),t+=n.strings.length-2)),t++}},ke=class e{get _$AU(){return this._$AM?._$AU??this._$Cv}constructor(e,t,n,r){this.type=2,this._$AH=T,this._$AN=void 0,this._$AA=e,this._$AB=t,this._$AM=n,this.options=r,this._$Cv=r?.isConnected??!0}get parentNode(){let e=this._$AA.parentNode,t=this._$AM;return t!==void 0&&e?.nodeType===11&&(e=t.parentNode),e}get startNode(){return this._$AA}get endNode(){return this._$AB}_$AI(e,t=this){e=D(this,e,t),y(e)?e===T||e==null||e===``?(this._$AH!==T&&this._$AR(),this._$AH=T):e!==this._$AH&&e!==w&&this._(e):e._$litType$===void 0?e.nodeType===void 0?ge(e)?this.k(e):this._(e):this.T(e):this.$(e)}O(e){return this._$AA.parentNode.insertBefore(e,this._$AB)}T(e){this._$AH!==e&&(this._$AR(),this._$AH=this.O(e))}_(e){this._$AH!==T&&y(this._$AH)?this._$AA.nextSibling.data=e:this.T(_.createTextNode(e)),this._$AH=e}$(e){let{values:t,_$litType$:n}=e,r=typeof n==`number`?this._$AC(e):(n.el===void 0&&(n.el=De.createElement(Te(n.h,n.h[0]),this.options)),n);if(this._$AH?._$AD===r)this._$AH.p(t);else{let e=new Oe(r,this),n=e.u(this.options);e.p(t),this.T(n),this._$AH=e}}_$AC(e){let t=we.get(e.strings);return t===void 0&&we.set(e.strings,t=new De(e)),t}k(t){he(this._$AH)||(this._$AH=[],this._$AR());let n=this._$AH,r,i=0;for(let a of t)i===n.length?n.push(r=new e(this.O(v()),this.O(v()),this,this.options)):r=n[i],r._$AI(a),i++;i<n.length&&(this._$AR(r&&r._$AB.nextSibling,i),n.length=i)}_$AR(e=this._$AA.nextSibling,t){for(this._$AP?.(!1,!0,t);e!==this._$AB;){let t=le(e).nextSibling;le(e).remove(),e=t}}setConnected(e){this._$AM===void 0&&(this._$Cv=e,this._$AP?.(e))}},O=class{get tagName(){return this.element.tagName}get _$AU(){return this._$AM._$AU}constructor(e,t,n,r,i){this.type=1,this._$AH=T,this._$AN=void 0,this.element=e,this.name=t,this._$AM=r,this.options=i,n.length>2||n[0]!==``||n[1]!==``?(this._$AH=Array(n.length-1).fill(new String),this.strings=n):this._$AH=T}_$AI(e,t=this,n,r){let i=this.strings,a=!1;if(i===void 0)e=D(this,e,t,0),a=!y(e)||e!==this._$AH&&e!==w,a&&(this._$AH=e);else{let r=e,o,s;for(e=i[0],o=0;o<i.length-1;o++)s=D(this,r[n+o],t,o),s===w&&(s=this._$AH[o]),a||=!y(s)||s!==this._$AH[o],s===T?e=T:e!==T&&(e+=(s??``)+i[o+1]),this._$AH[o]=s}a&&!r&&this.j(e)}j(e){e===T?this.element.removeAttribute(this.name):this.element.setAttribute(this.name,e??``)}},Ae=class extends O{constructor(){super(...arguments),this.type=3}j(e){this.element[this.name]=e===T?void 0:e}},je=class extends O{constructor(){super(...arguments),this.type=4}j(e){this.element.toggleAttribute(this.name,!!e&&e!==T)}},Me=class extends O{constructor(e,t,n,r,i){super(e,t,n,r,i),this.type=5}_$AI(e,t=this){if((e=D(this,e,t,0)??T)===w)return;let n=this._$AH,r=e===T&&n!==T||e.capture!==n.capture||e.once!==n.once||e.passive!==n.passive,i=e!==T&&(n===T||r);r&&this.element.removeEventListener(this.name,this,n),i&&this.element.addEventListener(this.name,this,e),this._$AH=e}handleEvent(e){typeof this._$AH==`function`?this._$AH.call(this.options?.host??this.element,e):this._$AH.handleEvent(e)}},Ne=class{constructor(e,t,n){this.element=e,this.type=6,this._$AN=void 0,this._$AM=t,this.options=n}get _$AU(){return this._$AM._$AU}_$AI(e){D(this,e)}},Pe={M:fe,P:g,A:pe,C:1,L:Ee,R:Oe,D:ge,V:D,I:ke,H:O,N:je,U:Me,B:Ae,F:Ne};(0,ce.litHtmlPolyfillSupport)?.(De,ke),(ce.litHtmlVersions??=[]).push(`3.3.3`);var Fe=(e,t,n)=>{let r=n?.renderBefore??t,i=r._$litPart$;if(i===void 0){let e=n?.renderBefore??null;r._$litPart$=i=new ke(t.insertBefore(v(),e),e,void 0,n??{})}return i._$AI(e),i},Ie=globalThis,k=class extends h{constructor(){super(...arguments),this.renderOptions={host:this},this._$Do=void 0}createRenderRoot(){let e=super.createRenderRoot();return this.renderOptions.renderBefore??=e.firstChild,e}update(e){let t=this.render();this.hasUpdated||(this.renderOptions.isConnected=this.isConnected),super.update(e),this._$Do=Fe(t,this.renderRoot,this.renderOptions)}connectedCallback(){super.connectedCallback(),this._$Do?.setConnected(!0)}disconnectedCallback(){super.disconnectedCallback(),this._$Do?.setConnected(!1)}render(){return w}};k._$litElement$=!0,k.finalized=!0,Ie.litElementHydrateSupport?.({LitElement:k}),(0,Ie.litElementPolyfillSupport)?.({LitElement:k}),(Ie.litElementVersions??=[]).push(`4.2.2`);function A(e,t){customElements.get(e)||customElements.define(e,t)}var Le={"time.now":`jetzt`,"time.today":`Heute`,"time.yesterday":`Gestern`,"presence.online":`online`,"presence.lastSeen":`zuletzt da {when}`,"presence.offline":`offline`,"typing.one":`{name} schreibt`,"typing.you":`schreibt`,"typing.two":`{first} und {second} schreiben`,"typing.many":`mehrere schreiben`,"list.label":`Unterhaltungen`,"list.empty":`Noch keine Unterhaltungen`,"list.emptyHint":`Beginne eine: tippe oben auf den Stift.`,"list.nothingFound":`Keine Unterhaltung heißt so`,"list.archived":`Archiv`,"list.unread":[`{count} ungelesene Nachricht`,`{count} ungelesene Nachrichten`],"list.markedUnread":`als ungelesen markiert`,"list.muted":`stumm`,"list.favourite":`angeheftet`,"list.draft":`Entwurf:`,"list.you":`Du:`,"list.actions":`Aktionen für {name}`,"act.mute":`Stumm schalten`,"act.unmute":`Ton einschalten`,"act.archive":`Archivieren`,"act.unarchive":`Aus dem Archiv holen`,"act.favourite":`Oben anheften`,"act.unfavourite":`Lösen`,"act.block":`Blockieren`,"act.unblock":`Nicht mehr blockieren`,"act.markUnread":`Als ungelesen markieren`,"act.markRead":`Als gelesen markieren`,"act.reply":`Antworten`,"act.edit":`Bearbeiten`,"act.copy":`Text kopieren`,"act.recall":`Für alle löschen`,"act.pin":`Anheften`,"act.unpin":`Lösen`,"act.react":`Reagieren`,"act.info":`Wer hat sie gelesen`,"act.more":`Mehr`,"act.retry":`Noch einmal senden`,"act.cancel":`Abbrechen`,"act.save":`Speichern`,"act.close":`Schließen`,"act.back":`Zurück`,"act.download":`Herunterladen`,"act.signInAgain":`Neu anmelden`,"act.open":`Öffnen`,"view.label":`Nachrichten mit {name}`,"view.empty":`Noch nichts hier. Sag hallo!`,"view.loading":`Nachrichten werden geladen`,"view.newest":`Zur neuesten Nachricht`,"view.newCount":[`{count} neue Nachricht`,`{count} neue Nachrichten`],"view.unread":`Neue Nachrichten`,"view.edited":`bearbeitet`,"view.pinned":`Angeheftet`,"view.forwarded":`Weitergeleitet`,"view.recalled":`{name} hat diese Nachricht gelöscht`,"view.recalledByYou":`Du hast diese Nachricht gelöscht`,"view.wiped":`Der Inhalt dieser Nachricht wurde entfernt`,"view.replyGone":`Eine Nachricht, die nicht mehr da ist`,"view.attachment":[`{count} Datei`,`{count} Dateien`],"view.photo":`Foto`,"view.poll":`Umfrage`,"view.pollVotes":[`{count} Stimme`,`{count} Stimmen`],"view.pollClosed":`Umfrage beendet`,"view.location":`Standort`,"view.you":`Du`,"view.reactions":`{emoji} von {names}`,"view.received":`{name}: {text}`,"view.disappearing":`Diese Nachricht verschwindet von selbst`,"status.sending":`wird gesendet`,"status.sent":`gesendet`,"status.delivered":`zugestellt`,"status.read":`gelesen`,"status.failed":`nicht gesendet`,"info.title":`Nachricht`,"info.read":`Gelesen von`,"info.delivered":`Zugestellt an`,"info.counts":`{read} von {members} haben sie gelesen, {delivered} haben sie`,"event.created":`{by} hat die Gruppe angelegt`,"event.createdByServer":`Die Gruppe wurde angelegt`,"event.joined":`{users} ist dabei`,"event.added":`{by} hat {users} hinzugefügt`,"event.left":`{users} ist gegangen`,"event.removed":`{by} hat {users} entfernt`,"event.removedByServer":`{users} wurde entfernt`,"event.changed":`Die Rolle von {users} wurde geändert`,"event.settings":`Die Einstellungen der Gruppe wurden geändert`,"event.deleted":`Die Gruppe wurde gelöscht`,"event.lost":`Einige Nachrichten aus dieser Zeit sind für dieses Gerät nicht erhalten`,"composer.label":`Nachricht schreiben`,"composer.placeholder":`Nachricht`,"composer.send":`Senden`,"composer.attach":`Dateien anhängen`,"composer.emoji":`Emoji`,"composer.replyTo":`Antwort an {name}`,"composer.editing":`Nachricht bearbeiten`,"composer.cancelReply":`Nicht antworten`,"composer.cancelEdit":`Nicht bearbeiten`,"composer.remove":`{name} entfernen`,"composer.tooLong":`Die Nachricht ist um {count} Bytes zu lang`,"composer.tooMany":`Höchstens 10 Dateien je Nachricht`,"composer.mentions":`Mitglieder zum Erwähnen`,"composer.everybody":`alle`,"composer.blocked":`Du hast {name} blockiert.`,"composer.mayNot":`Hier schreiben nur Admins.`,"composer.paused":`Die Gruppe macht Pause.`,"composer.drop":`Zum Anhängen loslassen`,"emoji.label":`Emoji`,"emoji.smileys":`Gesichter`,"emoji.gestures":`Gesten`,"emoji.hearts":`Herzen`,"emoji.nature":`Natur`,"emoji.food":`Essen`,"emoji.things":`Dinge`,"emoji.recent":`Zuletzt benutzt`,"search.label":`Nachrichten durchsuchen`,"search.placeholder":`Suchen`,"search.clear":`Suche leeren`,"search.conversations":`Unterhaltungen`,"search.messages":`Nachrichten`,"search.nothing":`Nichts gefunden für „{text}“`,"search.hint":`Tippe den Anfang von Wörtern`,"search.more":`Mehr zeigen`,"search.working":`Es wird gesucht`,"search.failed":`Die Suche ging nicht: {reason}`,"profile.label":`Über {name}`,"profile.id":`Benutzername`,"profile.media":`Fotos`,"profile.noMedia":`Noch keine Fotos`,"group.label":`Über die Gruppe {name}`,"group.members":[`{count} Mitglied`,`{count} Mitglieder`],"group.add":`Leute hinzufügen`,"group.addPlaceholder":`Benutzername`,"group.addAction":`Hinzufügen`,"group.leave":`Gruppe verlassen`,"group.leaveSure":`{name} verlassen? Du bekommst dann ihre Nachrichten nicht mehr.`,"group.delete":`Gruppe löschen`,"group.deleteSure":`{name} für alle löschen?`,"group.rename":`Umbenennen`,"group.name":`Name der Gruppe`,"group.owner":`Inhaber`,"group.admin":`Admin`,"group.makeAdmin":`Zum Admin machen`,"group.makeMember":`Admin-Rolle nehmen`,"group.makeOwner":`Zum Inhaber machen`,"group.remove":`Aus der Gruppe entfernen`,"group.pause":`Gruppe anhalten`,"group.resume":`Fortsetzen`,"group.announcement":`Nur Admins schreiben`,"group.you":`du`,"group.more":`Mehr Mitglieder zeigen`,"group.actions":`Aktionen für {name}`,"group.invite":`Mit Einladung beitreten`,"reason.RECIPIENT_UNKNOWN":`Diese Person gibt es nicht`,"reason.BLOCKED":`Du kannst dieser Person nicht schreiben`,"reason.INBOX_FULL":`Das Postfach ist voll`,"reason.NOT_A_MEMBER":`Du bist kein Mitglied mehr`,"reason.PERMISSION_DENIED":`Das darfst du nicht`,"reason.GROUP_PAUSED":`Die Gruppe macht Pause`,"reason.TOO_LATE":`Dafür ist es zu spät`,"reason.RATE_LIMITED":`Zu viel auf einmal, versuch es später`,"reason.TOO_LARGE":`Das ist zu groß`,"reason.REFUSED_BY_POLICY":`Das ist hier nicht erlaubt`,"reason.FEATURE_OFF":`Das ist hier abgeschaltet`,"reason.EXPIRED":`Sie wurde nicht rechtzeitig abgeholt`,"reason.NOT_FOUND":`Das ist nicht mehr da`,"reason.ALREADY_EXISTS":`Das gibt es schon`,"reason.UNAVAILABLE":`Der Server antwortet nicht`,"reason.TOKEN_REVOKED":`diese Anmeldung wurde widerrufen`,"reason.TOKEN_EXPIRED":`diese Anmeldung ist abgelaufen`,"reason.TOKEN_UNKNOWN":`diese Anmeldung ist hier nicht bekannt`,"reason.USER_INACTIVE":`dieser Benutzer ist deaktiviert`,"reason.SESSION_SUPERSEDED":`dasselbe Gerät hat sich anderswo angemeldet`,"connection.connecting":`Verbinden…`,"connection.waiting":`Keine Verbindung. Nachrichten warten hier und gehen von selbst hinaus.`,"connection.retryIn":`Nächster Versuch in {count} s`,"connection.ended":`Abgemeldet: {reason}`,"connection.catchingUp":`Wird aktualisiert…`},Re={"time.now":`now`,"time.today":`Today`,"time.yesterday":`Yesterday`,"presence.online":`online`,"presence.lastSeen":`last seen {when}`,"presence.offline":`offline`,"typing.one":`{name} is typing`,"typing.you":`typing`,"typing.two":`{first} and {second} are typing`,"typing.many":`several people are typing`,"list.label":`Conversations`,"list.empty":`No conversations yet`,"list.emptyHint":`Start one: tap the pencil above.`,"list.nothingFound":`No conversation is called that`,"list.archived":`Archived`,"list.unread":[`{count} unread message`,`{count} unread messages`],"list.markedUnread":`marked unread`,"list.muted":`muted`,"list.favourite":`favourite`,"list.draft":`Draft:`,"list.you":`You:`,"list.actions":`Actions for {name}`,"act.mute":`Mute`,"act.unmute":`Unmute`,"act.archive":`Archive`,"act.unarchive":`Move out of the archive`,"act.favourite":`Pin to the top`,"act.unfavourite":`Unpin`,"act.block":`Block`,"act.unblock":`Unblock`,"act.markUnread":`Mark as unread`,"act.markRead":`Mark as read`,"act.reply":`Reply`,"act.edit":`Edit`,"act.copy":`Copy text`,"act.recall":`Delete for everyone`,"act.pin":`Pin`,"act.unpin":`Unpin`,"act.react":`React`,"act.info":`Who has read it`,"act.more":`More`,"act.retry":`Send again`,"act.cancel":`Cancel`,"act.save":`Save`,"act.close":`Close`,"act.back":`Back`,"act.download":`Download`,"act.signInAgain":`Sign in again`,"act.open":`Open`,"view.label":`Messages with {name}`,"view.empty":`Nothing here yet. Say hello!`,"view.loading":`Loading messages`,"view.newest":`To the newest message`,"view.newCount":[`{count} new message`,`{count} new messages`],"view.unread":`New messages`,"view.edited":`edited`,"view.pinned":`Pinned`,"view.forwarded":`Forwarded`,"view.recalled":`{name} deleted this message`,"view.recalledByYou":`You deleted this message`,"view.wiped":`The content of this message was removed`,"view.replyGone":`A message that is not here any more`,"view.attachment":[`{count} file`,`{count} files`],"view.photo":`Photo`,"view.poll":`Poll`,"view.pollVotes":[`{count} vote`,`{count} votes`],"view.pollClosed":`Poll closed`,"view.location":`Location`,"view.you":`You`,"view.reactions":`{emoji} from {names}`,"view.received":`{name}: {text}`,"view.disappearing":`This message disappears by itself`,"status.sending":`sending`,"status.sent":`sent`,"status.delivered":`delivered`,"status.read":`read`,"status.failed":`not sent`,"info.title":`Message`,"info.read":`Read by`,"info.delivered":`Delivered to`,"info.counts":`{read} of {members} have read it, {delivered} have it`,"event.created":`{by} created the group`,"event.createdByServer":`The group was created`,"event.joined":`{users} joined`,"event.added":`{by} added {users}`,"event.left":`{users} left`,"event.removed":`{by} removed {users}`,"event.removedByServer":`{users} was removed`,"event.changed":`The role of {users} was changed`,"event.settings":`The settings of the group were changed`,"event.deleted":`The group was deleted`,"event.lost":`Some messages from this time could not be kept for this device`,"composer.label":`Write a message`,"composer.placeholder":`Message`,"composer.send":`Send`,"composer.attach":`Attach files`,"composer.emoji":`Emoji`,"composer.replyTo":`Reply to {name}`,"composer.editing":`Edit message`,"composer.cancelReply":`Do not reply`,"composer.cancelEdit":`Do not edit`,"composer.remove":`Remove {name}`,"composer.tooLong":`The message is too long by {count} bytes`,"composer.tooMany":`At most 10 files go with a message`,"composer.mentions":`Members to mention`,"composer.everybody":`everybody`,"composer.blocked":`You blocked {name}.`,"composer.mayNot":`Only admins may write here.`,"composer.paused":`The group is paused.`,"composer.drop":`Drop to attach`,"emoji.label":`Emoji`,"emoji.smileys":`Smileys`,"emoji.gestures":`Gestures`,"emoji.hearts":`Hearts`,"emoji.nature":`Nature`,"emoji.food":`Food`,"emoji.things":`Things`,"emoji.recent":`Used lately`,"search.label":`Search in messages`,"search.placeholder":`Search`,"search.clear":`Clear the search`,"search.conversations":`Conversations`,"search.messages":`Messages`,"search.nothing":`Nothing found for “{text}”`,"search.hint":`Type the beginning of words`,"search.more":`Show more`,"search.working":`Searching`,"search.failed":`The search did not work: {reason}`,"profile.label":`About {name}`,"profile.id":`User name`,"profile.media":`Photos`,"profile.noMedia":`No photos yet`,"group.label":`About the group {name}`,"group.members":[`{count} member`,`{count} members`],"group.add":`Add people`,"group.addPlaceholder":`User name`,"group.addAction":`Add`,"group.leave":`Leave the group`,"group.leaveSure":`Leave {name}? You will not get its messages any more.`,"group.delete":`Delete the group`,"group.deleteSure":`Delete {name} for everybody?`,"group.rename":`Rename`,"group.name":`Name of the group`,"group.owner":`owner`,"group.admin":`admin`,"group.makeAdmin":`Make admin`,"group.makeMember":`Take the admin role away`,"group.makeOwner":`Make owner`,"group.remove":`Remove from the group`,"group.pause":`Pause the group`,"group.resume":`Go on`,"group.announcement":`Only admins write`,"group.you":`you`,"group.more":`Show more members`,"group.actions":`Actions for {name}`,"group.invite":`Join by invitation`,"reason.RECIPIENT_UNKNOWN":`There is no such user`,"reason.BLOCKED":`You cannot write to this person`,"reason.INBOX_FULL":`The inbox is full`,"reason.NOT_A_MEMBER":`You are not a member any more`,"reason.PERMISSION_DENIED":`You may not do that`,"reason.GROUP_PAUSED":`The group is paused`,"reason.TOO_LATE":`It is too late for that`,"reason.RATE_LIMITED":`Too much at once, try again later`,"reason.TOO_LARGE":`That is too large`,"reason.REFUSED_BY_POLICY":`That is not allowed here`,"reason.FEATURE_OFF":`That is switched off here`,"reason.EXPIRED":`It was not fetched in time`,"reason.NOT_FOUND":`It is not there any more`,"reason.ALREADY_EXISTS":`There is one already`,"reason.UNAVAILABLE":`The server does not answer`,"reason.TOKEN_REVOKED":`this sign-in was revoked`,"reason.TOKEN_EXPIRED":`this sign-in has run out`,"reason.TOKEN_UNKNOWN":`this sign-in is not known here`,"reason.USER_INACTIVE":`this user is deactivated`,"reason.SESSION_SUPERSEDED":`the same device signed in elsewhere`,"connection.connecting":`Connecting…`,"connection.waiting":`No connection. Messages wait here and go out by themselves.`,"connection.retryIn":`Next try in {count} s`,"connection.ended":`Signed out: {reason}`,"connection.catchingUp":`Updating…`},ze=new Map([[`en`,Re],[`de`,Le]]),Be=new Set,Ve=`en`,He=Re,Ue=new Intl.PluralRules(`en`),j=We(`en`);function We(e){return{time:new Intl.DateTimeFormat(e,{hour:`numeric`,minute:`2-digit`}),weekday:new Intl.DateTimeFormat(e,{weekday:`long`}),date:new Intl.DateTimeFormat(e,{day:`numeric`,month:`long`}),dateOfYear:new Intl.DateTimeFormat(e,{day:`numeric`,month:`long`,year:`numeric`}),short:new Intl.DateTimeFormat(e,{day:`2-digit`,month:`2-digit`,year:`2-digit`}),full:new Intl.DateTimeFormat(e,{dateStyle:`full`,timeStyle:`short`}),list:new Intl.ListFormat(e,{type:`conjunction`}),number:new Intl.NumberFormat(e,{maximumFractionDigits:1})}}function Ge(e){let t=ze.get(e)??ze.get(e.split(`-`)[0]??``);Ve=e,He=t??Re;let n=e;try{Intl.getCanonicalLocales(e)}catch{n=`en`}Ue=new Intl.PluralRules(n),j=We(n);for(let e of Be)e()}function Ke(){return Ve}function qe(e){return Be.add(e),()=>Be.delete(e)}function M(e,t={}){let n=He[e];return(typeof n==`string`?n:Ue.select(Number(t.count??0))===`one`?n[0]:n[1]).replace(/\{(\w+)\}/g,(e,n)=>{let r=t[n];return r===void 0?e:typeof r==`number`?j.number.format(r):r})}function Je(e){return j.list.format(e)}function Ye(e){return j.time.format(e)}function Xe(e){return j.full.format(e)}function Ze(e){let t=new Date(e);return`${t.getFullYear()}-${String(t.getMonth()+1).padStart(2,`0`)}-${String(t.getDate()).padStart(2,`0`)}`}function Qe(e,t){let n=e=>new Date(e).setHours(0,0,0,0);return Math.round((n(t)-n(e))/864e5)}function $e(e,t=Date.now()){let n=Qe(e,t);return n===0?M(`time.today`):n===1?M(`time.yesterday`):n>1&&n<7?j.weekday.format(e):(new Date(e).getFullYear()===new Date(t).getFullYear()?j.date:j.dateOfYear).format(e)}function et(e,t=Date.now()){if(!e)return``;let n=Qe(e,t);return n<=0?j.time.format(e):n===1?M(`time.yesterday`):n<7?j.weekday.format(e):j.short.format(e)}function tt(e,t=Date.now()){let n=Qe(e,t),r=j.time.format(e);return M(`presence.lastSeen`,{when:n===0?r:`${$e(e,t)}, ${r}`})}function nt(e){let t=[`B`,`kB`,`MB`,`GB`,`TB`],n=e,r=0;for(;n>=1e3&&r<t.length-1;)n/=1e3,r+=1;return`${j.number.format(n)} ${t[r]}`}var N=class extends k{#e;connectedCallback(){super.connectedCallback(),this.#e=qe(()=>this.requestUpdate())}disconnectedCallback(){super.disconnectedCallback(),this.#e?.()}tell(e,t){return this.dispatchEvent(new CustomEvent(`tidings-${e}`,{detail:t,bubbles:!0,composed:!0,cancelable:!0}))}find(e){return this.renderRoot.querySelector(e)}};function P(e){return(t=20)=>S`<svg part="icon" viewBox="0 0 24 24" width=${t} height=${t} aria-hidden="true">${e}</svg>`}var F={back:P(C`<path d="M15 5l-7 7 7 7"/>`),close:P(C`<path d="M6 6l12 12M18 6L6 18"/>`),search:P(C`<circle cx="10.5" cy="10.5" r="6.5"/><path d="M15.5 15.5L20 20"/>`),more:P(C`<circle cx="12" cy="5.5" r="1.2" fill="currentColor"/><circle cx="12" cy="12" r="1.2" fill="currentColor"/><circle cx="12" cy="18.5" r="1.2" fill="currentColor"/>`),info:P(C`<circle cx="12" cy="12" r="8.5"/><path d="M12 11v5M12 8v.1"/>`),compose:P(C`<path d="M4 20h4L19 9a2.1 2.1 0 0 0-3-3L5 17z"/><path d="M14 8l3 3"/>`),people:P(C`<circle cx="9" cy="8.5" r="3.5"/><path d="M2.5 19.5c.6-3.6 3.2-5.5 6.5-5.5s5.9 1.9 6.5 5.5"/><path d="M16 5.3a3.3 3.3 0 0 1 0 6.4M17.5 14.3c2.3.5 3.7 2.3 4 5.2"/>`),person:P(C`<circle cx="12" cy="8" r="4"/><path d="M4.5 20c.8-4 3.8-6 7.5-6s6.7 2 7.5 6"/>`),addPerson:P(C`<circle cx="10" cy="8" r="4"/><path d="M2.5 20c.8-4 3.8-6 7.5-6s6.7 2 7.5 6"/><path d="M19.5 6v6M16.5 9h6"/>`),attach:P(C`<path d="M20 11.5l-7.8 7.8a5 5 0 0 1-7.1-7.1l8.2-8.2a3.4 3.4 0 0 1 4.8 4.8l-8.2 8.2a1.7 1.7 0 0 1-2.4-2.4l7.3-7.3"/>`),smile:P(C`<circle cx="12" cy="12" r="8.8"/><path d="M8.3 14.2c.9 1.4 2.2 2.1 3.7 2.1s2.8-.7 3.7-2.1"/><path d="M9 9.5v.6M15 9.5v.6"/>`),send:P(C`<path fill="currentColor" d="M4.2 4.6l16 6.7c.6.3.6 1.1 0 1.4l-16 6.7c-.6.2-1.2-.3-1-.9L5 13l8-1-8-1-1.8-5.5c-.2-.6.4-1.1 1-.9z"/>`),check:P(C`<path d="M5 12.5l4.5 4.5L19 7"/>`),reply:P(C`<path d="M9 6L3.5 11.5 9 17"/><path d="M4 11.5h9.5c4 0 6.5 2.3 7 6.5"/>`),forward:P(C`<path d="M15 6l5.5 5.5L15 17"/><path d="M20 11.5h-9.5c-4 0-6.5 2.3-7 6.5"/>`),copy:P(C`<rect x="8.5" y="8.5" width="11" height="11" rx="2.5"/><path d="M15.5 8.5V7A2.5 2.5 0 0 0 13 4.5H7A2.5 2.5 0 0 0 4.5 7v6A2.5 2.5 0 0 0 7 15.5h1.5"/>`),bin:P(C`<path d="M5 7h14M10 4h4M7 7l1 12.5h8L17 7M10.3 10.5v6M13.7 10.5v6"/>`),pin:P(C`<path d="M14.5 3.5l6 6-3 1-3.5 3.5-.5 4-7.5-7.5 4-.5 3.5-3.5z"/><path d="M9.5 14.5L4 20"/>`),bellOff:P(C`<path d="M6.5 9.5c0-.9.2-1.8.6-2.5M9 4.9c.9-.6 1.9-.9 3-.9 3 0 5.5 2.5 5.5 5.5V13l1.5 3H6.5M10 19.5h4"/><path d="M4 4l16 16"/>`),bell:P(C`<path d="M6.5 9.5a5.5 5.5 0 0 1 11 0V13l1.5 3.5H5L6.5 13zM10 19.5h4"/>`),archive:P(C`<rect x="3.5" y="4.5" width="17" height="4.5" rx="1.2"/><path d="M5 9v9a1.8 1.8 0 0 0 1.8 1.8h10.4A1.8 1.8 0 0 0 19 18V9M10 13h4"/>`),star:P(C`<path d="M12 3.8l2.5 5.2 5.7.8-4.1 4 1 5.7-5.1-2.7-5.1 2.7 1-5.7-4.1-4 5.7-.8z"/>`),block:P(C`<circle cx="12" cy="12" r="8.5"/><path d="M6 6l12 12"/>`),unread:P(C`<path d="M20.5 12a8.5 8.5 0 1 1-4-7.2"/><circle cx="19" cy="6" r="2.5" fill="currentColor"/>`),down:P(C`<path d="M6 9.5l6 6 6-6"/>`),download:P(C`<path d="M12 4v11M7.5 11l4.5 4.5 4.5-4.5M5 20h14"/>`),file:P(C`<path d="M6.5 3.5h7l4.5 4.5v12.5H6.5z"/><path d="M13.5 3.5V8H18"/>`),link:P(C`<path d="M10 14a4 4 0 0 0 5.7 0l3-3A4 4 0 0 0 13 5.3l-1 1M14 10a4 4 0 0 0-5.7 0l-3 3A4 4 0 0 0 11 18.7l1-1"/>`),gear:P(C`<circle cx="12" cy="12" r="3"/><path d="M12 3v3M12 18v3M3 12h3M18 12h3M5.6 5.6l2.1 2.1M16.3 16.3l2.1 2.1M18.4 5.6l-2.1 2.1M7.7 16.3l-2.1 2.1"/>`),leave:P(C`<path d="M14 4.5H6.5v15H14M11 12h9.5M17 8.5l3.5 3.5-3.5 3.5"/>`),clock:P(C`<circle cx="12" cy="12" r="8"/><path d="M12 7.5V12l3 2"/>`),warning:P(C`<circle cx="12" cy="12" r="8.5"/><path d="M12 7.5v5.5M12 16v.1"/>`),forbidden:P(C`<circle cx="12" cy="12" r="8"/><path d="M7 7l10 10"/>`),place:P(C`<path d="M12 21c4.5-4.8 6.5-8.2 6.5-11a6.5 6.5 0 0 0-13 0c0 2.8 2 6.2 6.5 11z"/><circle cx="12" cy="10" r="2.3"/>`),offline:P(C`<path d="M3 9.5c5.5-4.7 12.5-4.7 18 0M6.5 13c3.3-2.6 7.7-2.6 11 0M12 18v.1"/><path d="M4 4l16 16"/>`),moon:P(C`<path d="M19.5 14.5A8 8 0 0 1 9.5 4.5a8 8 0 1 0 10 10z"/>`)};function rt(e){return S`<svg class="tick" viewBox="0 0 20 12" width="18" height="11" aria-hidden="true">
    <path d="M${e?1.5:5} 6.5l3.8 3.8L13 2"></path>${e?C`<path d="M8.8 10.3L17.5 2"></path>`:``}
  </svg>`}var I=o`
  :host {
    --_accent: var(--tidings-accent, light-dark(#0b766f, #4cc9bb));
    --_on-accent: var(--tidings-on-accent, light-dark(#ffffff, #06201e));
    --_accent-soft: var(--tidings-accent-soft, light-dark(#dff2ef, #17393a));
    --_text: var(--tidings-text, light-dark(#16211f, #e8efee));
    --_muted: var(--tidings-muted, light-dark(#596865, #94a6a4));
    --_surface: var(--tidings-surface, light-dark(#ffffff, #131c1e));
    --_raised: var(--tidings-raised, light-dark(#ffffff, #1d292b));
    --_field: var(--tidings-field, light-dark(#f0f3f3, #1e2a2d));
    --_hover: var(--tidings-hover, light-dark(#f3f6f6, #1a2628));
    --_selected: var(--tidings-selected, light-dark(#e0f1ee, #1d3a3a));
    --_line: var(--tidings-line, light-dark(#e4e9e8, #243235));
    --_chat: var(--tidings-chat, light-dark(#eaf0ee, #0c1315));
    --_in: var(--tidings-bubble-in, light-dark(#ffffff, #1d292c));
    --_in-text: var(--tidings-bubble-in-text, var(--_text));
    --_out: var(--tidings-bubble-out, light-dark(#d3f0ea, #14504b));
    --_out-text: var(--tidings-bubble-out-text, light-dark(#10221f, #ecf7f5));
    --_out-muted: var(--tidings-bubble-out-muted, light-dark(#45655f, #a3cbc5));
    --_tick: var(--tidings-tick, light-dark(#0a7d8c, #6fdcea));
    --_danger: var(--tidings-danger, light-dark(#c0322b, #ff8a80));
    --_online: var(--tidings-online, light-dark(#1b9e5a, #3ddc84));
    --_link: var(--tidings-link, light-dark(#0b66b0, #7cc4ff));
    --_shadow: var(--tidings-shadow, light-dark(rgb(16 33 30 / 16%), rgb(0 0 0 / 55%)));
    --_radius: var(--tidings-radius, 16px);
    --_font: var(--tidings-font, 'Inter', system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Helvetica Neue', sans-serif, 'Noto Color Emoji');
    --_size: var(--tidings-font-size, 0.9375rem);
    --_focus: var(--tidings-focus, var(--_accent));
    font: 400 var(--_size) / 1.4 var(--_font);
    color: var(--_text);
    -webkit-font-smoothing: antialiased;
  }
  :host([theme='light']) {
    color-scheme: light;
  }
  :host([theme='dark']) {
    color-scheme: dark;
  }
  :host([hidden]) {
    display: none !important;
  }
`,L=o`
  *,
  *::before,
  *::after {
    box-sizing: border-box;
  }
  button,
  input,
  textarea,
  select {
    font: inherit;
    color: inherit;
  }
  button {
    border: 0;
    background: none;
    padding: 0;
    cursor: pointer;
    -webkit-tap-highlight-color: transparent;
  }
  :focus-visible {
    outline: 2px solid var(--_focus);
    outline-offset: 2px;
  }
  .icon-button {
    display: inline-grid;
    place-items: center;
    flex: none;
    inline-size: 40px;
    block-size: 40px;
    border-radius: 50%;
    color: var(--_muted);
    transition: background-color 120ms, color 120ms;
  }
  .icon-button:hover {
    background: var(--_hover);
    color: var(--_text);
  }
  .icon-button[aria-pressed='true'],
  .icon-button[aria-expanded='true'] {
    color: var(--_accent);
  }
  .icon-button:disabled {
    opacity: 0.4;
    cursor: default;
  }
  .button {
    display: inline-flex;
    align-items: center;
    justify-content: center;
    gap: 8px;
    min-block-size: 38px;
    padding: 0 16px;
    border-radius: 999px;
    font-weight: 600;
    color: var(--_accent);
    background: var(--_accent-soft);
  }
  .button.primary {
    background: var(--_accent);
    color: var(--_on-accent);
  }
  .button.danger {
    color: var(--_danger);
    background: color-mix(in srgb, var(--_danger) 12%, transparent);
  }
  .button:hover {
    filter: brightness(0.97);
  }
  .button:disabled {
    opacity: 0.5;
    cursor: default;
  }
  .field {
    inline-size: 100%;
    min-block-size: 40px;
    padding: 8px 14px;
    border: 1px solid transparent;
    border-radius: 12px;
    background: var(--_field);
    outline: none;
  }
  .field:focus-visible {
    border-color: var(--_focus);
    outline: 1px solid var(--_focus);
    outline-offset: 0;
  }
  .field::placeholder {
    color: var(--_muted);
    opacity: 1;
  }
  .unseen {
    position: absolute;
    inline-size: 1px;
    block-size: 1px;
    overflow: hidden;
    clip-path: inset(50%);
    white-space: nowrap;
  }
  .clip {
    overflow: hidden;
    text-overflow: ellipsis;
    white-space: nowrap;
  }
  svg {
    display: block;
    fill: none;
    stroke: currentColor;
    stroke-width: 1.8;
    stroke-linecap: round;
    stroke-linejoin: round;
  }
  .menu {
    margin: 0;
    padding: 6px;
    border: 0;
    border-radius: 14px;
    min-inline-size: 190px;
    max-inline-size: min(320px, 92vw);
    background: var(--_raised);
    color: var(--_text);
    box-shadow: 0 8px 30px var(--_shadow), 0 0 0 1px var(--_line);
  }
  .menu button.item {
    display: flex;
    align-items: center;
    gap: 12px;
    inline-size: 100%;
    padding: 8px 12px;
    border-radius: 9px;
    text-align: start;
  }
  .menu button.item svg {
    color: var(--_muted);
  }
  .menu button.item:hover,
  .menu button.item:focus-visible {
    background: var(--_hover);
  }
  .menu button.item.danger,
  .menu button.item.danger svg {
    color: var(--_danger);
  }
  @media (prefers-reduced-motion: reduce) {
    *,
    *::before,
    *::after {
      animation-duration: 1ms !important;
      transition-duration: 1ms !important;
      scroll-behavior: auto !important;
    }
  }
`,R=o`
  .scrolls {
    overflow-y: auto;
    overscroll-behavior: contain;
    scrollbar-width: thin;
    scrollbar-color: color-mix(in srgb, var(--_muted) 45%, transparent) transparent;
  }
`,it=8;function at(e){let t=0x811c9dc5;for(let n=0;n<e.length;n+=1)t=Math.imul(t^e.charCodeAt(n),16777619);return(t>>>0)%it}function ot(e){let t=e.trim().split(/[\s._-]+/u).filter(e=>/[\p{L}\p{N}]/u.test(e));return(([...t[0]??e][0]??`?`)+(t.length>1?[...t.at(-1)??``][0]??``:``)).toLocaleUpperCase()}var st=o`
  .hue-0 { --_hue: light-dark(#c2413a, #f28b82); --_disc: #c2544e; }
  .hue-1 { --_hue: light-dark(#a85b00, #f6b26b); --_disc: #b36a1c; }
  .hue-2 { --_hue: light-dark(#6f7a00, #cdd15f); --_disc: #7c8420; }
  .hue-3 { --_hue: light-dark(#2e7d32, #81c995); --_disc: #3f8a4d; }
  .hue-4 { --_hue: light-dark(#00796b, #6fd3c5); --_disc: #1f8577; }
  .hue-5 { --_hue: light-dark(#1967b8, #8ab4f8); --_disc: #3a76bd; }
  .hue-6 { --_hue: light-dark(#6a45c9, #b9a3f5); --_disc: #7a5cc9; }
  .hue-7 { --_hue: light-dark(#ad3b85, #f39ac7); --_disc: #b0528f; }
`;A(`tidings-avatar`,class extends N{static{this.properties={user:{},name:{},src:{},group:{type:Boolean},online:{type:Boolean}}}constructor(){super(),this.user=``,this.name=``,this.group=!1,this.online=!1}static{this.styles=[I,L,st,o`
      :host {
        display: inline-block;
        position: relative;
        flex: none;
        inline-size: var(--tidings-avatar-size, 48px);
        block-size: var(--tidings-avatar-size, 48px);
        container-type: size;
        user-select: none;
      }
      .disc {
        inline-size: 100%;
        block-size: 100%;
        border-radius: 50%;
        display: grid;
        place-items: center;
        overflow: hidden;
        color: #fff;
        background: linear-gradient(160deg, color-mix(in srgb, var(--_disc) 86%, #fff), var(--_disc) 70%);
        font-weight: 600;
        font-size: 40cqmin;
        line-height: 1;
        letter-spacing: 0.01em;
      }
      img {
        inline-size: 100%;
        block-size: 100%;
        object-fit: cover;
      }
      svg {
        inline-size: 54%;
        block-size: 54%;
      }
      .dot {
        position: absolute;
        inset-block-end: 1%;
        inset-inline-end: 1%;
        inline-size: 27%;
        block-size: 27%;
        border-radius: 50%;
        background: var(--_online);
        border: 2.5px solid var(--tidings-avatar-ring, var(--_surface));
      }
    `]}render(){let e=this.name||this.user;return S`<span class="disc hue-${at(this.user||e)}" part="disc" aria-hidden="true"
        >${this.src?S`<img src=${this.src} alt="" />`:this.group&&!e?F.people():ot(e)}</span
      >${this.online?S`<span class="dot" part="online"></span>`:T}`}});var z={ATTRIBUTE:1,CHILD:2,PROPERTY:3,BOOLEAN_ATTRIBUTE:4,EVENT:5,ELEMENT:6},ct=e=>(...t)=>({_$litDirective$:e,values:t}),lt=class{constructor(e){}get _$AU(){return this._$AM._$AU}_$AT(e,t,n){this._$Ct=e,this._$AM=t,this._$Ci=n}_$AS(e,t){return this.update(e,t)}update(e,t){return this.render(...t)}},{I:ut}=Pe,dt=e=>e,ft=e=>e.strings===void 0,pt=()=>document.createComment(``),B=(e,t,n)=>{let r=e._$AA.parentNode,i=t===void 0?e._$AB:t._$AA;if(n===void 0)n=new ut(r.insertBefore(pt(),i),r.insertBefore(pt(),i),e,e.options);else{let t=n._$AB.nextSibling,a=n._$AM,o=a!==e;if(o){let t;n._$AQ?.(e),n._$AM=e,n._$AP!==void 0&&(t=e._$AU)!==a._$AU&&n._$AP(t)}if(t!==i||o){let e=n._$AA;for(;e!==t;){let t=dt(e).nextSibling;dt(r).insertBefore(e,i),e=t}}}return n},V=(e,t,n=e)=>(e._$AI(t,n),e),mt={},ht=(e,t=mt)=>e._$AH=t,gt=e=>e._$AH,_t=e=>{e._$AR(),e._$AA.remove()},vt=ct(class extends lt{constructor(e){if(super(e),e.type!==z.PROPERTY&&e.type!==z.ATTRIBUTE&&e.type!==z.BOOLEAN_ATTRIBUTE)throw Error("The `live` directive is not allowed on child or event bindings");if(!ft(e))throw Error("`live` bindings can only contain a single expression")}render(e){return e}update(e,[t]){if(t===w||t===T)return t;let n=e.element,r=e.name;if(e.type===z.PROPERTY){if(t===n[r])return w}else if(e.type===z.BOOLEAN_ATTRIBUTE){if(!!t===n.hasAttribute(r))return w}else if(e.type===z.ATTRIBUTE&&n.getAttribute(r)===t+``)return w;return ht(e),t}});function yt(e,t,n){let r=e=>e===t?M(`view.you`):n(e),i=Je(e.users.slice(0,5).map(r))+(e.users.length>5?` +${e.users.length-5}`:``),a=e.by?r(e.by):``;switch(e.kind){case`created`:return a?M(`event.created`,{by:a}):M(`event.createdByServer`);case`joined`:return a&&!e.users.includes(e.by)?M(`event.added`,{by:a,users:i}):M(`event.joined`,{users:i});case`left`:return M(`event.left`,{users:i});case`removed`:return a?M(`event.removed`,{by:a,users:i}):M(`event.removedByServer`,{users:i});case`changed`:return M(`event.changed`,{users:i});case`settings`:return M(`event.settings`);case`deleted`:return M(`event.deleted`);case`lost`:return M(`event.lost`)}}function H(e,t,n){if(e.event)return yt(e.event,t,n);if(e.gone===`wiped`)return M(`view.wiped`);if(e.gone)return e.mine?M(`view.recalledByYou`):M(`view.recalled`,{name:n(e.from)});if(e.poll)return`📊 ${e.poll.question}`;if(e.location)return`📍 ${e.text||M(`view.location`)}`;let r=e.files.filter(e=>e.mediaType.startsWith(`image/`)).length;if(e.files.length>0){let t=r===e.files.length?r===1?M(`view.photo`):`${M(`view.photo`)} ×${r}`:e.files.length===1?e.files[0]?.name??``:M(`view.attachment`,{count:e.files.length});return`${r===e.files.length?`📷`:`📎`} ${e.text||t}`}return(e.title?`${e.title}: `:``)+e.text.replace(/\s+/gu,` `)}var bt=6,U=8;function xt(e,t){let n=e.getBoundingClientRect(),r=getComputedStyle(e).direction===`rtl`,i=t.bottom+bt,a=i+n.height<=innerHeight-U?i:t.top-bt-n.height,o=r?t.right-n.width:t.left;e.style.setProperty(`position`,`fixed`),e.style.setProperty(`inset`,`auto`),e.style.setProperty(`top`,`${Math.max(U,Math.min(a,innerHeight-n.height-U))}px`),e.style.setProperty(`left`,`${Math.max(U,Math.min(o,innerWidth-n.width-U))}px`)}function St(e,t){let n=[...t,`all`].sort((e,t)=>t.length-e.length),r=[];for(let i=e.indexOf(`@`);i>=0;i=e.indexOf(`@`,i+1)){if(i>0&&/[\p{L}\p{N}_]/u.test(e[i-1]))continue;let a=e.slice(i+1),o=n.find(e=>a.toLowerCase().startsWith(e.toLowerCase())&&!/^[\p{L}\p{N}_]/u.test(a.slice(e.length)));o!==void 0&&r.push({user:o===`all`&&!t.includes(`all`)?``:o,start:i,end:i+1+o.length})}return r}function Ct(e,t){let n=/(?:^|[\s(])@([\p{L}\p{N}_.-]{0,40})$/u.exec(e.slice(0,t));if(!n)return;let r=n[1]??``;return{start:t-r.length-1,typed:r}}var wt=new TextEncoder;function Tt(e){return wt.encode(e).length}var Et=o`
  :host {
    display: block;
    position: relative;
    background: var(--_surface);
    border-block-start: 1px solid var(--_line);
  }
  form {
    max-inline-size: 980px;
    margin-inline: auto;
    padding: 8px 10px;
  }
  .line {
    display: flex;
    align-items: flex-end;
    gap: 4px;
  }
  .box {
    flex: 1;
    min-inline-size: 0;
    display: flex;
    align-items: flex-end;
    border-radius: 22px;
    background: var(--_field);
  }
  .box:focus-within {
    box-shadow: 0 0 0 1.5px color-mix(in srgb, var(--_focus) 55%, transparent);
  }
  textarea {
    flex: 1;
    min-inline-size: 0;
    min-block-size: 42px;
    max-block-size: 168px;
    padding: 10px 4px 10px 16px;
    padding-inline: 16px 4px;
    border: 0;
    background: none;
    outline: none;
    resize: none;
    font-size: max(var(--_size), 16px);
    line-height: 22px;
    field-sizing: content;
    scrollbar-width: thin;
  }
  textarea::placeholder {
    color: var(--_muted);
    opacity: 1;
  }
  .box .icon-button {
    margin: 1px;
  }
  .send {
    inline-size: 44px;
    block-size: 44px;
    background: var(--_accent);
    color: var(--_on-accent);
  }
  .send:hover:not(:disabled) {
    background: var(--_accent);
    color: var(--_on-accent);
    filter: brightness(1.07);
  }
  .send:disabled {
    background: none;
    color: var(--_muted);
  }
  :host(:dir(rtl)) .send svg {
    transform: scaleX(-1);
  }
  .context {
    display: flex;
    align-items: center;
    gap: 10px;
    padding: 2px 4px 8px 8px;
  }
  .context > svg {
    color: var(--_accent);
    flex: none;
  }
  .context div {
    flex: 1;
    min-inline-size: 0;
    border-inline-start: 3px solid var(--_accent);
    padding-inline-start: 10px;
    font-size: 0.84375rem;
  }
  .context b {
    display: block;
    font-weight: 600;
    color: var(--_accent);
  }
  .context span {
    display: block;
    color: var(--_muted);
  }
  .tray {
    display: flex;
    gap: 8px;
    overflow-x: auto;
    padding: 4px 4px 10px;
    margin: 0;
    list-style: none;
    scrollbar-width: thin;
  }
  .tray li {
    position: relative;
    flex: none;
    inline-size: 92px;
    block-size: 92px;
    border-radius: 12px;
    background: var(--_field);
    display: grid;
    place-items: center;
    text-align: center;
    font-size: 0.75rem;
    padding: 6px;
    overflow: hidden;
  }
  .tray img {
    position: absolute;
    inset: 0;
    inline-size: 100%;
    block-size: 100%;
    object-fit: cover;
  }
  .tray .clip {
    max-inline-size: 80px;
    display: block;
  }
  .tray button {
    position: absolute;
    inset-block-start: 4px;
    inset-inline-end: 4px;
    inline-size: 24px;
    block-size: 24px;
    border-radius: 50%;
    display: grid;
    place-items: center;
    background: rgb(0 0 0 / 60%);
    color: #fff;
  }
  .note {
    padding: 12px 16px;
    text-align: center;
    color: var(--_muted);
  }
  .problem {
    padding: 0 8px 8px;
    font-size: 0.8125rem;
    color: var(--_danger);
  }
  .mentions {
    position: absolute;
    inset-block-end: calc(100% - 4px);
    inset-inline: 12px;
    max-inline-size: 360px;
    max-block-size: 260px;
    overflow-y: auto;
    padding: 6px;
    border-radius: 14px;
    background: var(--_raised);
    box-shadow: 0 6px 26px var(--_shadow), 0 0 0 1px var(--_line);
    z-index: 2;
  }
  .mentions [role='option'] {
    display: flex;
    align-items: center;
    gap: 10px;
    padding: 6px 8px;
    border-radius: 9px;
    cursor: pointer;
    --tidings-avatar-size: 30px;
  }
  .mentions [aria-selected='true'] {
    background: var(--_selected);
  }
  .mentions small {
    color: var(--_muted);
  }
  .emoji-box {
    padding: 6px;
  }
`,Dt=[{key:`emoji.smileys`,emoji:[...`😀😃😄😁😅😂🤣😊🙂🙃😉😍🥰😘😋😜🤪🤗🤭🤫🤔🤨😐😶🙄😏😬😌😴🤤😷🤒🥵🥶😵🤯🥳😎🤓🧐😕😟🙁😮😯😲😳🥺😦😧😨😢😭😱😖😞😓😩😫🥱😤😡🤬😈👻🤖💩`]},{key:`emoji.gestures`,emoji:`👍.👎.👌.✌️.🤞.🤟.🤙.👈.👉.👆.👇.☝️.✋.👋.👏.🙌.🙏.🤝.💪.🫶.✍️.👀.🧠.🙈.🙉.🙊.🤷.🤦`.split(`.`)},{key:`emoji.hearts`,emoji:[`❤️`,`🧡`,`💛`,`💚`,`💙`,`💜`,`🖤`,`🤍`,`💔`,`💕`,`💖`,`✨`,`⭐`,`🔥`,`🎉`,`💯`,`✅`,`❌`,`❓`,`❗`,`💤`,`💬`]},{key:`emoji.nature`,emoji:[...`🐶🐱🐭🐰🦊🐻🐼🐨🐯🦁🐸🐵🐔🐧🦉🐺🐝🦋🐢🐙🐬🌵🌲🌳🌴🌱🍀🌷🌹🌻🌙🌈⛅⚡🌊`]},{key:`emoji.food`,emoji:[...`🍏🍎🍐🍊🍋🍌🍉🍇🍓🍒🍑🥑🥦🥕🌽🍞🥐🧀🍳🥞🍔🍟🍕🌮🥗🍝🍣🍪🎂🍰🍫🍿☕🍵🍺🍷🥂`]},{key:`emoji.things`,emoji:[...`⚽🏀🎾🎮🎲🎸🎨🎬📷💻📱💡📚📅📌📎🔑🔒🔧🎁🚗🚲🚆🚀🏠🏡🏢🏖🗺⏰⌛💰📈📉🏆🎵`]}],Ot=`tidings.emoji`,kt=16;function At(){try{let e=JSON.parse(localStorage.getItem(Ot)??`[]`);return Array.isArray(e)?e.filter(e=>typeof e==`string`&&e.length<=16).slice(0,kt):[]}catch{return[]}}function jt(e){try{localStorage.setItem(Ot,JSON.stringify([e,...At().filter(t=>t!==e)].slice(0,kt)))}catch{}}var Mt=8;A(`tidings-emoji-picker`,class extends N{static{this.styles=[I,L,R,o`
      :host {
        display: block;
        inline-size: 328px;
        max-inline-size: 86vw;
      }
      .scrolls {
        block-size: 280px;
      }
      h3 {
        margin: 8px 6px 4px;
        font-size: 0.75rem;
        font-weight: 600;
        color: var(--_muted);
      }
      .grid {
        display: grid;
        grid-template-columns: repeat(8, 1fr);
      }
      button {
        aspect-ratio: 1;
        border-radius: 10px;
        font-size: 1.375rem;
        line-height: 1;
      }
      button:hover {
        background: var(--_hover);
      }
      button:focus-visible {
        outline-offset: -2px;
      }
    `]}focus(){this.find(`button`)?.focus({preventScroll:!0})}#e(e){jt(e),this.tell(`emoji`,{emoji:e})}#t(e){let t=[...this.renderRoot.querySelectorAll(`button`)],n=t.indexOf(this.shadowRoot?.activeElement),r=this.matches(`:dir(rtl)`)?-1:1,i={ArrowRight:r,ArrowLeft:-r,ArrowDown:Mt,ArrowUp:-8}[e.key];i===void 0||n<0||(e.preventDefault(),e.stopPropagation(),t[Math.max(0,Math.min(t.length-1,n+i))]?.focus())}render(){let e=At(),t=e.length>0?[{key:`emoji.recent`,emoji:e},...Dt]:Dt;return S`<div class="scrolls" role="group" aria-label=${M(`emoji.label`)} @keydown=${this.#t}>
      ${t.map(e=>S`<h3>${M(e.key)}</h3>
          <div class="grid" role="group" aria-label=${M(e.key)}>
            ${e.emoji.map(e=>S`<button aria-label=${e} @click=${()=>this.#e(e)}>${e}</button>`)}
          </div>`)}
    </div>`}});var Nt=10,Pt=3e3,Ft=4500;A(`tidings-composer`,class extends N{static{this.properties={conversation:{},members:{attribute:!1},names:{attribute:!1},me:{},replyTo:{attribute:!1},editing:{attribute:!1},value:{},files:{type:Boolean},maxBytes:{type:Number,attribute:`max-bytes`},note:{},chosen:{state:!0},problem:{state:!0},suggested:{state:!0},at:{state:!0}}}#e=0;#t;#n=``;constructor(){super(),this.conversation=``,this.members=[],this.names=e=>e,this.me=``,this.value=``,this.files=!1,this.maxBytes=6e4,this.chosen=[],this.problem=``,this.suggested=[],this.at=0}static{this.styles=[I,L,R,Et]}focus(){this.#r?.focus({preventScroll:!0})}addFiles(e){if(!this.files||this.editing)return;let t=[...e];this.chosen.length+t.length>Nt&&(this.problem=M(`composer.tooMany`));let n=t.slice(0,Nt-this.chosen.length),r=e=>/^image\/(png|jpeg|gif|webp|avif|bmp)$/.test(e.type);this.chosen=[...this.chosen,...n.map(e=>({file:e,address:r(e)?URL.createObjectURL(e):void 0}))],this.focus()}get#r(){return this.find(`textarea`)}disconnectedCallback(){super.disconnectedCallback(),this.#a(),this.#s()}willUpdate(e){e.has(`conversation`)&&e.get(`conversation`)!==void 0&&(this.#a(),this.suggested=[],this.problem=``),e.has(`editing`)&&(this.editing?(e.get(`editing`)||(this.#n=this.value),this.value=this.editing.text,this.#a()):e.get(`editing`)&&(this.value=this.#n))}updated(e){(e.has(`editing`)&&this.editing||e.has(`replyTo`)&&this.replyTo)&&(this.focus(),this.#r?.setSelectionRange(this.value.length,this.value.length)),e.has(`value`)&&this.#i()}#i(){let e=this.#r;e&&!CSS.supports(`field-sizing`,`content`)&&(e.style.setProperty(`height`,`auto`),e.style.setProperty(`height`,`${Math.min(168,e.scrollHeight)}px`))}#a(){for(let{address:e}of this.chosen)e&&URL.revokeObjectURL(e);this.chosen=[]}#o(e){let t=e.target;if(this.value=t.value,this.problem=``,this.#c(t),this.tell(`draft`,{text:this.value}),this.editing||this.value.trim()===``)return;let n=performance.now();(this.#e===0||n-this.#e>=Pt)&&(this.#e=n,this.tell(`typing`,{typing:!0})),clearTimeout(this.#t),this.#t=setTimeout(()=>this.#s(),Ft)}#s(){clearTimeout(this.#t),this.#e>0&&this.isConnected&&this.tell(`typing`,{typing:!1}),this.#e=0}#c(e){let t=this.members.length>0?Ct(e.value,e.selectionStart):void 0;if(!t){this.suggested=[];return}let n=t.typed.toLowerCase(),r={user:`all`,name:M(`composer.everybody`),role:`member`};this.suggested=[...this.members.filter(e=>e.user!==this.me),r].filter(e=>e.user.toLowerCase().startsWith(n)||e.name.toLowerCase().startsWith(n)).slice(0,8),this.at=0}#l(e){let t=this.#r,n=t&&Ct(t.value,t.selectionStart);t&&n&&(t.setRangeText(`@${e.user} `,n.start,t.selectionStart,`end`),this.value=t.value,this.suggested=[],t.focus())}#u(e){e.isComposing||this.suggested.length>0&&this.#d(e)||(e.key===`Enter`&&!e.shiftKey&&!e.ctrlKey&&!e.altKey&&!matchMedia(`(pointer: coarse)`).matches||e.key===`Enter`&&(e.ctrlKey||e.metaKey)?(e.preventDefault(),this.#p()):e.key===`Escape`&&(this.editing||this.replyTo)?(e.preventDefault(),e.stopPropagation(),this.#f()):e.key!==`ArrowUp`||this.value!==``||this.editing||this.tell(`edit-last`)||e.preventDefault())}#d(e){let t=e.key===`ArrowDown`?1:e.key===`ArrowUp`?-1:0;if(t!==0)this.at=(this.at+t+this.suggested.length)%this.suggested.length;else if(e.key===`Enter`||e.key===`Tab`)this.#l(this.suggested[this.at]);else if(e.key===`Escape`)this.suggested=[];else return!1;return e.preventDefault(),e.stopPropagation(),!0}#f(){this.editing?this.tell(`cancel-edit`):this.tell(`cancel-reply`)}#p(){let e=this.value.trim();if(e===``&&this.chosen.length===0)return;let t=Tt(e)-this.maxBytes;if(t>0){this.problem=M(`composer.tooLong`,{count:t});return}let n=St(e,this.members.map(e=>e.user));if(this.#s(),this.editing){let t=this.editing;e!==``&&e!==t.text&&this.tell(`edit`,{message:t,text:e,mentions:n}),this.tell(`cancel-edit`);return}let r={text:e,files:this.chosen.map(({file:e})=>e),mentions:this.members.length>0?n:[],replyTo:this.replyTo};this.#a(),this.value=``,this.suggested=[],this.problem=``,this.tell(`draft`,{text:``}),this.tell(`send`,r),this.focus()}#m(e){let t=[...e.clipboardData?.files??[]];t.length!==0&&this.files&&(e.preventDefault(),this.addFiles(t))}#h(e){let t=e.target;this.addFiles(t.files??[]),t.value=``}#g(e){e.address&&URL.revokeObjectURL(e.address),this.chosen=this.chosen.filter(t=>t!==e),this.focus()}async#_(e){let t=e.currentTarget,n=this.find(`.emoji-box`);n&&(n.togglePopover(),n.matches(`:popover-open`)&&(xt(n,t.getBoundingClientRect()),n.querySelector(`tidings-emoji-picker`)?.focus()))}#v(e){e.stopPropagation();let t=this.#r;t&&(t.setRangeText(e.detail.emoji,t.selectionStart,t.selectionEnd,`end`),this.value=t.value,this.tell(`draft`,{text:this.value}),this.find(`.emoji-box`)?.hidePopover(),t.focus())}render(){if(this.note)return S`<div class="note" part="note">${this.note}</div>`;let e=this.value.trim()===``&&this.chosen.length===0;return S`
      ${this.suggested.length>0?this.#x():T}
      <form part="form" @submit=${e=>{e.preventDefault(),this.#p()}}>
        ${this.#y()} ${this.#b()}
        ${this.problem?S`<div class="problem" role="alert">${this.problem}</div>`:T}
        <div class="line">
          ${this.files&&!this.editing?S`<button type="button" class="icon-button" part="attach" title=${M(`composer.attach`)} aria-label=${M(`composer.attach`)} @click=${()=>this.find(`input[type=file]`)?.click()}>${F.attach(22)}</button
                  ><input type="file" multiple hidden aria-label=${M(`composer.attach`)} @change=${this.#h} />`:T}
          <div class="box" part="box">
            <textarea rows="1" dir="auto" enterkeyhint="send" part="field" aria-label=${M(`composer.label`)} placeholder=${M(`composer.placeholder`)} aria-autocomplete=${this.members.length>0?`list`:`none`}
              .value=${vt(this.value)} @input=${this.#o} @keydown=${this.#u} @paste=${this.#m} @blur=${()=>this.#s()}></textarea>
            <button type="button" class="icon-button" title=${M(`composer.emoji`)} aria-label=${M(`composer.emoji`)} aria-haspopup="dialog" @click=${this.#_}>${F.smile(22)}</button>
          </div>
          <button type="submit" class="icon-button send" part="send" ?disabled=${e} title=${M(`composer.send`)} aria-label=${M(this.editing?`act.save`:`composer.send`)}>${this.editing?F.check(22):F.send(22)}</button>
        </div>
      </form>
      <div class="menu emoji-box" popover="auto" role="dialog" aria-label=${M(`emoji.label`)}><tidings-emoji-picker @tidings-emoji=${this.#v}></tidings-emoji-picker></div>
    `}#y(){let e=this.editing??this.replyTo;if(!e)return T;let t=this.editing?M(`composer.editing`):M(`composer.replyTo`,{name:e.mine?M(`view.you`):this.names(e.from)}),n=M(this.editing?`composer.cancelEdit`:`composer.cancelReply`);return S`<div class="context" part="context">
      ${this.editing?F.compose(20):F.reply(20)}
      <div><b class="clip">${t}</b><span class="clip" dir="auto">${H(e,this.me,this.names)}</span></div>
      <button type="button" class="icon-button" title=${n} aria-label=${n} @click=${this.#f}>${F.close(18)}</button>
    </div>`}#b(){return this.chosen.length===0?T:S`<ul class="tray" part="tray">
      ${this.chosen.map(e=>S`<li>
          ${e.address?S`<img src=${e.address} alt=${e.file.name} />`:S`<span>${F.file(26)}<span class="clip">${e.file.name}</span></span>`}
          <button type="button" aria-label=${M(`composer.remove`,{name:e.file.name})} @click=${()=>this.#g(e)}>${F.close(14)}</button>
        </li>`)}
    </ul>`}#x(){return S`<div class="mentions" role="listbox" aria-label=${M(`composer.mentions`)}>
      ${this.suggested.map((e,t)=>S`<div role="option" aria-selected=${t===this.at} @mousedown=${t=>{t.preventDefault(),this.#l(e)}}>
          <tidings-avatar .user=${e.user} .name=${e.name}></tidings-avatar><span>${e.name} <small>@${e.user}</small></span>
        </div>`)}
    </div>`}});var W=function(e){return e[e.MEMBER=0]=`MEMBER`,e[e.ADMIN=1]=`ADMIN`,e[e.OWNER=2]=`OWNER`,e}({}),G=function(e){return e[e.PERMISSION_UNSPECIFIED=0]=`PERMISSION_UNSPECIFIED`,e[e.SEND=1]=`SEND`,e[e.RECEIVE=2]=`RECEIVE`,e[e.LIST=3]=`LIST`,e[e.ADD=4]=`ADD`,e[e.REMOVE=5]=`REMOVE`,e[e.MANAGE=6]=`MANAGE`,e[e.PUBLISH=7]=`PUBLISH`,e[e.SUBSCRIBE=8]=`SUBSCRIBE`,e}({}),K=function(e){return e[e.KIND_UNSPECIFIED=0]=`KIND_UNSPECIFIED`,e[e.CREATED=1]=`CREATED`,e[e.JOINED=2]=`JOINED`,e[e.LEFT=3]=`LEFT`,e[e.REMOVED=4]=`REMOVED`,e[e.MEMBERS_CHANGED=5]=`MEMBERS_CHANGED`,e[e.SETTINGS=6]=`SETTINGS`,e[e.DELETED=7]=`DELETED`,e}({}),It=o`
  :host {
    display: block;
    position: relative;
    min-block-size: 0;
    background: var(--_chat);
    background-image: radial-gradient(120% 80% at 0% 0%, color-mix(in srgb, var(--_accent) 7%, transparent), transparent 60%),
      radial-gradient(120% 90% at 100% 100%, color-mix(in srgb, var(--_link) 6%, transparent), transparent 60%);
  }
  .scroller {
    position: absolute;
    inset: 0;
    overflow-x: hidden;
    overflow-anchor: none;
    outline: none;
  }
  .scroller:focus-visible {
    box-shadow: inset 0 0 0 2px var(--_focus);
  }
  .canvas {
    position: relative;
    min-block-size: 100%;
    display: flex;
    flex-direction: column;
    justify-content: flex-end;
  }
  .window {
    position: absolute;
    inset-inline: 0;
    inset-block-start: 0;
  }
  .inner {
    max-inline-size: 980px;
    margin-inline: auto;
  }
  .day,
  .event,
  .new {
    display: flex;
    justify-content: center;
    padding: 10px 24px 6px;
  }
  .event {
    padding-block: 5px;
  }
  .pill {
    padding: 3px 12px;
    border-radius: 12px;
    font-size: 0.78125rem;
    font-weight: 550;
    color: var(--_muted);
    background: color-mix(in srgb, var(--_surface) 82%, transparent);
    text-align: center;
    box-shadow: 0 1px 1px color-mix(in srgb, var(--_shadow) 35%, transparent);
  }
  .event .pill {
    font-weight: 450;
  }
  .new {
    padding-inline: 0;
  }
  .new .pill {
    flex: 1;
    border-radius: 0;
    color: var(--_accent);
    background: color-mix(in srgb, var(--_surface) 70%, transparent);
  }
  .floating {
    position: absolute;
    inset-block-start: 8px;
    inset-inline: 0;
    display: flex;
    justify-content: center;
    pointer-events: none;
    opacity: 0;
    transition: opacity 250ms;
  }
  .floating.seen {
    opacity: 1;
  }
  .floating .pill {
    background: var(--_surface);
  }
  .newest {
    position: absolute;
    inset-block-end: 14px;
    inset-inline-end: 18px;
    inline-size: 44px;
    block-size: 44px;
    border-radius: 50%;
    display: grid;
    place-items: center;
    background: var(--_raised);
    color: var(--_muted);
    box-shadow: 0 2px 10px var(--_shadow);
    transition: transform 140ms, opacity 140ms;
  }
  .newest[hidden] {
    display: grid;
    visibility: hidden;
    opacity: 0;
    transform: translateY(10px);
  }
  .newest .count {
    position: absolute;
    inset-block-start: -7px;
    min-inline-size: 21px;
    padding: 1px 6px;
    border-radius: 11px;
    font-size: 0.75rem;
    font-weight: 650;
    background: var(--_accent);
    color: var(--_on-accent);
  }
  .empty {
    position: absolute;
    inset: 0;
    display: grid;
    place-items: center;
    pointer-events: none;
  }
  .empty .pill {
    padding: 8px 18px;
    border-radius: 18px;
    font-size: 0.875rem;
  }
  .loading {
    position: absolute;
    inset-block-start: 12px;
    inset-inline: 0;
    display: grid;
    place-items: center;
    pointer-events: none;
  }
  .spinner {
    inline-size: 26px;
    block-size: 26px;
    border-radius: 50%;
    border: 3px solid color-mix(in srgb, var(--_accent) 25%, transparent);
    border-block-start-color: var(--_accent);
    animation: turn 0.8s linear infinite;
  }
  @keyframes turn {
    to {
      transform: rotate(1turn);
    }
  }
  .quick {
    display: flex;
    gap: 2px;
    padding: 2px 2px 6px;
    border-block-end: 1px solid var(--_line);
    margin-block-end: 6px;
  }
  .quick button {
    flex: 1;
    inline-size: 40px;
    block-size: 40px;
    border-radius: 50%;
    font-size: 1.375rem;
    line-height: 1;
    transition: transform 100ms;
  }
  .quick button:hover {
    transform: scale(1.15);
  }
  .quick button[aria-pressed='true'] {
    background: var(--_accent-soft);
  }
`,Lt=[`👍`,`❤️`,`😂`,`😮`,`😢`,`🙏`],Rt=[{act:`reply`,icon:`reply`,key:`act.reply`},{act:`copy`,icon:`copy`,key:`act.copy`},{act:`edit`,icon:`compose`,key:`act.edit`},{act:`pin`,icon:`pin`,key:`act.pin`},{act:`info`,icon:`info`,key:`act.info`},{act:`recall`,icon:`bin`,key:`act.recall`}];A(`tidings-message-menu`,class extends N{static{this.properties={message:{attribute:!1},me:{},group:{type:Boolean},picking:{state:!0},mayManage:{type:Boolean},mayWrite:{type:Boolean}}}#e;constructor(){super(),this.me=``,this.group=!1,this.mayManage=!1,this.mayWrite=!0,this.picking=!1}static{this.styles=[I,L,R,It,o`
      :host {
        display: contents;
        background: none;
      }
    `]}async open(e,t,n){this.message=e,this.picking=!1,this.#e=n,await this.updateComplete;let r=this.find(`.menu`);r&&(r.showPopover(),xt(r,t),r.querySelector(`.item`)?.focus({preventScroll:!0}))}close(){this.find(`.menu`)?.hidePopover()}#t(e){let t=this.message;if(!t)return;let n=t.reactions.some(t=>t.emoji===e&&t.from===this.me);this.close(),this.tell(`react`,{message:t,emoji:e,off:n})}#n(e){let t=this.message;this.close(),t&&this.tell(`message-action`,{message:t,action:e})}#r(e,t){switch(e){case`reply`:return this.mayWrite;case`copy`:return t.text!==``;case`edit`:return t.mine&&t.text!==``&&!t.poll;case`pin`:return this.mayWrite;case`info`:return t.mine&&this.group;case`recall`:return t.mine||this.group&&this.mayManage}}#i(e){let t=[...this.renderRoot.querySelectorAll(`.item, .quick button`)],n=t.indexOf(this.shadowRoot?.activeElement),r=e.key===`ArrowDown`||e.key===`ArrowRight`?1:e.key===`ArrowUp`||e.key===`ArrowLeft`?-1:0;r===0||this.picking||(e.preventDefault(),e.stopPropagation(),t[(n+r+t.length)%t.length]?.focus())}#a(e){if(e.newState!==`closed`)return;let t=this.#e;this.#e=void 0,t?.setAttribute(`aria-expanded`,`false`),t?.focus({preventScroll:!0})}render(){let e=this.message;return S`<div class="menu" popover="auto" part="menu" role="menu" aria-label=${M(`act.more`)} @keydown=${this.#i} @toggle=${this.#a}>
      ${e?this.#o(e):T}
    </div>`}#o(e){if(this.picking)return S`<tidings-emoji-picker @tidings-emoji=${e=>{e.stopPropagation(),this.#t(e.detail.emoji)}}></tidings-emoji-picker>`;let t=new Set(e.reactions.filter(e=>e.from===this.me).map(e=>e.emoji));return S`${this.mayWrite&&!e.poll?S`<div class="quick" role="group" aria-label=${M(`act.react`)}>
            ${Lt.map(e=>S`<button role="menuitemcheckbox" aria-checked=${t.has(e)} aria-label="${M(`act.react`)} ${e}" @click=${()=>this.#t(e)}>${e}</button>`)}
            <button role="menuitem" aria-label=${M(`composer.emoji`)} title=${M(`composer.emoji`)} @click=${()=>{this.picking=!0}}>＋</button>
          </div>`:T}
    ${Rt.filter(({act:t})=>this.#r(t,e)).map(({act:t,icon:n,key:r})=>S`<button class="item ${t===`recall`?`danger`:``}" role="menuitem" data-action=${t} @click=${()=>this.#n(t)}>
        ${F[n](19)} ${M(t===`pin`&&e.pinned?`act.unpin`:r)}
      </button>`)}`}});var zt=(e,t,n)=>{let r=new Map;for(let i=t;i<=n;i++)r.set(e[i],i);return r},Bt=ct(class extends lt{constructor(e){if(super(e),e.type!==z.CHILD)throw Error(`repeat() can only be used in text expressions`)}dt(e,t,n){let r;n===void 0?n=t:t!==void 0&&(r=t);let i=[],a=[],o=0;for(let t of e)i[o]=r?r(t,o):o,a[o]=n(t,o),o++;return{values:a,keys:i}}render(e,t,n){return this.dt(e,t,n).values}update(e,[t,n,r]){let i=gt(e),{values:a,keys:o}=this.dt(t,n,r);if(!Array.isArray(i))return this.ut=o,a;let s=this.ut??=[],c=[],l,u,d=0,f=i.length-1,p=0,m=a.length-1;for(;d<=f&&p<=m;)if(i[d]===null)d++;else if(i[f]===null)f--;else if(s[d]===o[p])c[p]=V(i[d],a[p]),d++,p++;else if(s[f]===o[m])c[m]=V(i[f],a[m]),f--,m--;else if(s[d]===o[m])c[m]=V(i[d],a[m]),B(e,c[m+1],i[d]),d++,m--;else if(s[f]===o[p])c[p]=V(i[f],a[p]),B(e,i[d],i[f]),f--,p++;else if(l===void 0&&(l=zt(o,p,m),u=zt(s,d,f)),l.has(s[d])){if(l.has(s[f])){let t=u.get(o[p]),n=t===void 0?null:i[t];if(n===null){let t=B(e,i[d]);V(t,a[p]),c[p]=t}else c[p]=V(n,a[p]),B(e,i[d],n),i[t]=null;p++}else _t(i[f]),f--}else _t(i[d]),d++;for(;p<=m;){let t=B(e,c[m+1]);V(t,a[p]),c[p++]=t}for(;d<=f;){let e=i[d++];e!==null&&_t(e)}return this.ut=o,ht(e,c),w}});function Vt(e,t,n){let r=e.at(n),i=t(r);return i===void 0?{kind:`bottom`}:{kind:`row`,key:i,offset:e.topOf(r)-n}}function Ht(e,t,n,r){let i=Math.max(0,t.total+r-n);if(e.kind===`bottom`)return i;let a=t.indexOf(e.key);return a===void 0?void 0:Math.max(0,Math.min(i,t.topOf(a)-e.offset))}var Ut=/\b(?:https?:\/\/|www\.)[^\s<>"'`]+|\b[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+/giu,Wt=/[.,;:!?…*_~'")\]}>]$/u;function Gt(e){let t=/^www\./i.test(e)?`https://${e}`:e.includes(`://`)?e:`mailto:${e}`;try{let e=new URL(t);return[`http:`,`https:`,`mailto:`].includes(e.protocol)?e.href:void 0}catch{return}}var Kt=2048;function qt(e){let t=e;for(;;){let e=Wt.exec(t)?.[0];if(e===void 0)return t;let n=e===`)`?`(`:e===`]`?`[`:void 0;if(n&&t.split(n).length>=t.split(e).length)return t;t=t.slice(0,-1)}}function Jt(e,t){let n=0;for(let r of e.matchAll(Ut)){if(r[0].length>Kt)continue;let i=qt(r[0]),a=i.length>4?Gt(i):void 0;a!==void 0&&(r.index>n&&t.push({kind:`text`,text:e.slice(n,r.index)}),t.push({kind:`link`,text:i,href:a}),n=r.index+i.length)}n<e.length&&t.push({kind:`text`,text:e.slice(n)})}function Yt(e,t=[]){let n=[],r=0;for(let i of[...t].sort((e,t)=>e.start-t.start))i.end<=i.start||i.start<r||i.end>e.length||(Jt(e.slice(r,i.start),n),n.push({kind:`mention`,text:e.slice(i.start,i.end),user:i.user}),r=i.end);return Jt(e.slice(r),n),n}var Xt=/^(?:\p{Emoji_Presentation}|\p{Extended_Pictographic}|\p{Regional_Indicator}{2}|[#*0-9]\uFE0F?\u20E3)/u;function Zt(e){if(e.length>40)return 0;let t=[...new Intl.Segmenter(void 0,{granularity:`grapheme`}).segment(e.trim())].map(e=>e.segment);return t.length<1||t.length>3?0:t.every(e=>Xt.test(e))?t.length:0}var Qt=/[\p{L}]/u,$t=/[\u0590-\u08FF\uFB1D-\uFDFF\uFE70-\uFEFF]/u;function en(e){let t=Qt.exec(e)?.[0];return t===void 0?void 0:$t.test(t)?`rtl`:`ltr`}function tn(e,t,n){return Yt(e,t).map(e=>e.kind===`text`?e.text:e.kind===`mention`?S`<span class="mention ${e.user===``||e.user===n?`of-me`:``}">${e.text}</span>`:S`<a href=${e.href} target="_blank" rel="noopener noreferrer nofollow" part="link">${e.text}</a>`)}function nn(e,t){let n=t.filter(e=>e.length>0).map(e=>e.replace(/[.*+?^${}()|[\]\\]/g,`\\$&`));if(n.length===0)return[e];let r=RegExp(`(?<![\\p{L}\\p{N}])(?:${n.join(`|`)})`,`giu`),i=[],a=0;for(let t of e.matchAll(r))t.index>a&&i.push(e.slice(a,t.index)),i.push(S`<mark>${t[0]}</mark>`),a=t.index+t[0].length;return a<e.length&&i.push(e.slice(a)),i}var rn=ct(class extends lt{#e=new Map;constructor(e){if(super(e),e.type!==z.ELEMENT)throw Error(`styled() stands in the place of an attribute`)}render(e){return w}update(e,[t]){let n=e.element.style;for(let e of this.#e.keys())e in t||(n.removeProperty(e),this.#e.delete(e));for(let[e,r]of Object.entries(t))this.#e.get(e)!==r&&(n.setProperty(e,r),this.#e.set(e,r));return w}}),an=3,on=.6;function sn(e){let{width:t,height:n}=e.picture??{width:0,height:0};return t<=0||n<=0?`4 / 3`:String(Math.min(an,Math.max(on,t/n)))}function cn(e,t,n){return S`<button class="picture" part="picture" aria-label="${M(`view.photo`)}: ${t.name}" ${rn({"--_ratio":sn(t)})} @click=${()=>n.openFile(e,t)}>
    ${t.thumbnail&&!t.address?S`<img class="thumb" src=${t.thumbnail} alt="" />`:T}
    ${t.address?S`<img src=${t.address} alt=${t.name} decoding="async" />`:T}
    ${t.progress===void 0?T:S`<progress max="1" .value=${t.progress} aria-label=${t.name}></progress>`}
  </button>`}function ln(e,t,n){return S`<button class="file" part="file" aria-label="${M(`act.download`)}: ${t.name}, ${nt(t.size)}" @click=${()=>n.openFile(e,t)}>
    <span class="sign">${t.progress===void 0?F.file(22):F.clock(22)}</span>
    <span class="names"><b class="clip" dir="auto">${t.name}</b><small>${nt(t.size)}</small></span>
    ${t.progress===void 0?T:S`<progress max="1" .value=${t.progress} aria-label=${t.name}></progress>`}
  </button>`}function un(e,t){let{files:n}=e;return n.length===0?T:S`<div class="files ${n.length===1?`one`:``}">
    ${n.map(n=>n.mediaType.startsWith(`image/`)?cn(e,n,t):ln(e,n,t))}
  </div>`}function dn(e,t){let n=new Map(t.options.map(e=>[e.id,[]])),r=new Map;for(let i of e.reactions){let e=n.get(i.emoji),a=r.get(i.from)??0;!e||e.includes(i.from)||a>=Math.max(1,t.choices)||(e.push(i.from),r.set(i.from,a+1))}return n}function fn(e,t,n){let r=dn(e,t),i=[...r.values()].reduce((e,t)=>e+t.length,0),a=t.closesAt>0&&t.closesAt<=Date.now();return S`<fieldset class="poll" part="poll">
    <legend dir="auto">${t.question}</legend>
    ${t.options.map(o=>{let s=r.get(o.id)??[],c=s.includes(n.me);return S`<button class="option" aria-pressed=${c} ?disabled=${a} @click=${()=>pn(e,t,r,o.id,c,n)}>
        <span class="dot">${c?F.check(12):T}</span><span dir="auto">${o.text}</span><small>${s.length}</small>
        <meter min="0" max=${Math.max(1,i)} .value=${s.length} aria-hidden="true"></meter>
      </button>`})}
    <small>${a?M(`view.pollClosed`):M(`view.pollVotes`,{count:i})}</small>
  </fieldset>`}function pn(e,t,n,r,i,a){if(!i&&Math.max(1,t.choices)===1)for(let[t,r]of n)r.includes(a.me)&&a.react(e,t,!0);a.react(e,r,i)}function mn(e){if(!e.mine||e.gone)return T;switch(e.status){case`sending`:return F.clock(12);case`failed`:return F.warning(13);case`delivered`:case`read`:return rt(!0);default:return rt(!1)}}function hn(e){return S`${e.pinned?F.pin(11):T}${e.disappearsAt?S`<span title=${M(`view.disappearing`)}>${F.clock(11)}</span>`:T}${e.editedAt&&!e.gone?S`<span>${M(`view.edited`)}</span>`:T}<time datetime=${new Date(e.at).toISOString()} title=${Xe(e.at)}>${Ye(e.at)}</time>${mn(e)}`}function gn(e,t){let n=e.replyTo;if(!n)return T;let r=t.quoted(n),i=r?r.from===t.me?M(`view.you`):t.names(r.from):``;return S`<button class="quote ${r?`hue-${at(r.from)}`:``}" part="quote" @click=${()=>t.openQuoted(n)}>
    ${i?S`<b class="clip">${i}</b>`:T}<span class="clip" dir="auto">${r?H(r,t.me,t.names):M(`view.replyGone`)}</span>
  </button>`}function _n(e,t){if(e.reactions.length===0||e.poll)return T;let n=new Map;for(let t of e.reactions)n.set(t.emoji,[...n.get(t.emoji)??[],t.from]);return S`<div class="reactions" part="reactions">
    ${[...n].sort((e,t)=>t[1].length-e[1].length).map(([n,r])=>{let i=r.includes(t.me),a=M(`view.reactions`,{emoji:n,names:Je(r.slice(0,12).map(e=>e===t.me?M(`view.you`):t.names(e)))});return S`<button class="chip ${i?`mine`:``}" aria-pressed=${i} aria-label=${a} title=${a} @click=${()=>t.react(e,n,i)}>
        <span aria-hidden="true">${n}</span>${r.length>1||t.group?S`<span aria-hidden="true">${r.length}</span>`:T}
      </button>`})}
  </div>`}function vn(e,t){if(e.gone)return S`<div class="text gone">${e.gone===`wiped`?M(`view.wiped`):e.mine?M(`view.recalledByYou`):M(`view.recalled`,{name:t.names(e.from)})}<span class="meta-room" aria-hidden="true">${hn(e)}</span></div>`;let n=S`<span class="meta-room" aria-hidden="true">${hn(e)}</span>`,r=e.title?S`<b class="title" dir="auto">${e.title}</b>`:T;return!e.text&&!e.title?T:S`${r}<div class="text" part="text">${tn(e.text,e.mentions,t.me)}${n}</div>`}function yn(e,t){let{message:n}=e,r=!n.gone&&n.files.length===0&&!n.replyTo&&!n.title&&!n.poll?Zt(n.text):0,i=!n.gone&&n.files.length>0&&n.files.every(e=>e.mediaType.startsWith(`image/`)),a=!n.text&&!n.title&&!n.gone,o=en(n.text),s=o!==void 0&&o===`rtl`!==t.rightToLeft||a&&!i||!!n.poll||!!n.location,c=t.group&&!n.mine&&e.first,l=[`bubble`,r?`emoji`:``,i?`pictures`:``,i&&a?`over`:``,s?`own-line`:``].join(` `);return S`
    ${t.group&&!n.mine?S`<span class="who">${e.last?S`<tidings-avatar .user=${n.from} .name=${t.names(n.from)} @click=${()=>t.openProfile(n.from)}></tidings-avatar>`:T}</span>`:T}
    <div class="column">
      <div class=${l} part="bubble ${n.mine?`out`:`in`}">
        ${c?S`<span class="sender hue-${at(n.from)}" part="sender">${t.names(n.from)}</span>`:T}
        ${n.pinned&&!n.gone?S`<span class="mark">${F.pin(12)} ${M(`view.pinned`)}</span>`:T}
        ${n.forwarded&&!n.gone?S`<span class="mark">${F.forward(12)} ${M(`view.forwarded`)}</span>`:T}
        ${n.gone?T:gn(n,t)}
        ${n.gone?T:un(n,t)}
        ${n.gone||!n.poll?T:fn(n,n.poll,t)}
        ${n.gone||!n.location?T:S`<a class="place" target="_blank" rel="noopener noreferrer" href="https://www.openstreetmap.org/?mlat=${n.location.latitude}&mlon=${n.location.longitude}#map=16/${n.location.latitude}/${n.location.longitude}">${F.place(22)}<span>${n.location.latitude.toFixed(5)}, ${n.location.longitude.toFixed(5)}</span></a>`}
        ${vn(n,t)}
        <span class="meta ${n.status??``}" part="meta">${hn(n)}${n.mine&&n.status?S`<span class="unseen">${M(`status.${n.status}`)}</span>`:T}</span>
      </div>
      ${n.gone?T:_n(n,t)}
      ${n.status===`failed`?S`<div class="reason" role="status">${n.reason??M(`status.failed`)} <button @click=${()=>t.retry(n)}>${M(`act.retry`)}</button></div>`:T}
    </div>
    ${n.gone||n.status===`sending`||n.status===`failed`?T:S`<span class="beside"><button class="icon-button" tabindex="-1" aria-haspopup="menu" title=${M(`act.more`)} aria-label=${M(`act.more`)} @click=${e=>t.openMenu(n,e.currentTarget)}>${F.smile(18)}</button></span>`}
  `}function bn(e,t){let n=e.mine?M(`view.you`):t.names(e.from),r=e.mine&&e.status?`, ${M(`status.${e.status}`)}`:``;return`${M(`view.received`,{name:n,text:H(e,t.me,t.names)})}, ${Ye(e.at)}${r}`}var xn=o`
  .row {
    display: flex;
    gap: 8px;
    padding: 1px 16px;
    position: relative;
  }
  .row.first {
    padding-block-start: 7px;
  }
  .row.mine {
    justify-content: flex-end;
  }
  .row.found .bubble {
    animation: found 1.8s ease-out;
  }
  @keyframes found {
    0%,
    40% {
      box-shadow: 0 0 0 3px var(--_accent);
    }
  }
  .who {
    flex: none;
    inline-size: 34px;
    align-self: flex-end;
    --tidings-avatar-size: 34px;
  }
  .column {
    display: flex;
    flex-direction: column;
    align-items: flex-start;
    min-inline-size: 0;
    max-inline-size: min(78%, 600px);
  }
  .row.mine .column {
    align-items: flex-end;
  }
  .bubble {
    position: relative;
    max-inline-size: 100%;
    padding: 6px 11px 7px;
    border-radius: var(--_radius);
    background: var(--_in);
    color: var(--_in-text);
    box-shadow: 0 1px 1px color-mix(in srgb, var(--_shadow) 45%, transparent);
    overflow-wrap: anywhere;
    --_meta: var(--_muted);
  }
  .row:not(.first, .mine) .bubble {
    border-start-start-radius: 6px;
  }
  .row:not(.last, .mine) .bubble {
    border-end-start-radius: 6px;
  }
  .row.last:not(.mine) .bubble {
    border-end-start-radius: 4px;
  }
  .row.mine .bubble {
    background: var(--_out);
    color: var(--_out-text);
    --_meta: var(--_out-muted);
  }
  .row.mine:not(.first) .bubble {
    border-start-end-radius: 6px;
  }
  .row.mine:not(.last) .bubble {
    border-end-end-radius: 6px;
  }
  .row.mine.last .bubble {
    border-end-end-radius: 4px;
  }
  .row:focus {
    outline: none;
  }
  .row:focus-visible .bubble {
    outline: 2px solid var(--_focus);
    outline-offset: 2px;
  }
  .sender {
    display: block;
    font-weight: 600;
    font-size: 0.8125rem;
    color: var(--_hue, var(--_accent));
    margin-block-end: 1px;
  }
  .text {
    white-space: pre-wrap;
    unicode-bidi: plaintext;
    text-align: start;
  }
  .text a {
    color: var(--_link);
    text-decoration-thickness: 1px;
    text-underline-offset: 2px;
  }
  .row.mine .text a {
    color: inherit;
  }
  .mention {
    color: var(--_link);
    font-weight: 600;
  }
  .mention.of-me {
    background: color-mix(in srgb, var(--_accent) 18%, transparent);
    color: inherit;
    border-radius: 5px;
    padding: 0 3px;
  }
  .gone {
    color: var(--_meta);
    font-style: italic;
  }
  .meta {
    position: absolute;
    inset-block-end: 5px;
    inset-inline-end: 10px;
  }
  .meta,
  .meta-room {
    display: inline-flex;
    align-items: center;
    gap: 4px;
    font-size: 0.6875rem;
    line-height: 1.3;
    white-space: nowrap;
    color: var(--_meta);
    user-select: none;
  }
  .meta-room {
    visibility: hidden;
    margin-inline-start: 10px;
    block-size: 8px;
    vertical-align: baseline;
  }
  .own-line .meta {
    position: static;
    display: flex;
    justify-content: flex-end;
    margin-block-start: 2px;
  }
  .own-line .meta-room {
    display: none;
  }
  .meta .tick {
    stroke-width: 1.7;
  }
  .meta.read .tick {
    color: var(--_tick);
  }
  .meta.failed {
    color: var(--_danger);
  }
  .bubble.emoji {
    background: none !important;
    box-shadow: none;
    padding: 2px 4px 20px;
  }
  .bubble.emoji .text {
    font-size: 2.75rem;
    line-height: 1.15;
  }
  .bubble.emoji .meta-room {
    display: none;
  }
  .bubble.emoji .meta {
    --_meta: var(--_muted);
    inset-inline-end: 4px;
  }
  .quote {
    display: block;
    inline-size: 100%;
    text-align: start;
    margin: 2px 0 5px;
    padding: 4px 10px;
    border-radius: 8px;
    border-inline-start: 3px solid var(--_hue, var(--_accent));
    background: color-mix(in srgb, var(--_hue, var(--_accent)) 10%, transparent);
    font-size: 0.84375rem;
    max-inline-size: 420px;
  }
  .quote b {
    display: block;
    font-weight: 600;
    color: var(--_hue, var(--_accent));
  }
  .quote span {
    display: block;
    color: inherit;
    opacity: 0.8;
  }
  .mark {
    display: flex;
    align-items: center;
    gap: 4px;
    font-size: 0.75rem;
    color: var(--_meta);
  }
  .title {
    display: block;
    font-weight: 650;
  }
  .reactions {
    display: flex;
    flex-wrap: wrap;
    gap: 4px;
    margin-block: 3px 1px;
    padding-inline: 4px;
  }
  .chip {
    display: inline-flex;
    align-items: center;
    gap: 5px;
    block-size: 26px;
    padding: 0 9px;
    border-radius: 13px;
    font-size: 0.8125rem;
    font-variant-numeric: tabular-nums;
    background: var(--_in);
    color: var(--_in-text);
    box-shadow: 0 0 0 1px var(--_line);
  }
  .chip.mine {
    background: var(--_accent-soft);
    box-shadow: 0 0 0 1.5px var(--_accent);
  }
  .beside {
    display: flex;
    align-self: center;
    opacity: 0;
    transition: opacity 100ms;
    flex: none;
  }
  .row.mine .beside {
    order: -1;
  }
  .row:hover .beside,
  .row:focus-within .beside,
  .beside:has([aria-expanded='true']) {
    opacity: 1;
  }
  .beside .icon-button {
    inline-size: 30px;
    block-size: 30px;
    color: var(--_muted);
  }
  @media (hover: none) {
    .beside {
      display: none;
    }
  }
  .reason {
    display: flex;
    align-items: center;
    gap: 8px;
    font-size: 0.75rem;
    color: var(--_danger);
    padding: 2px 4px;
  }
  .reason button {
    color: var(--_danger);
    font-weight: 600;
    text-decoration: underline;
    text-underline-offset: 2px;
  }
`,Sn=o`
  .files {
    display: grid;
    gap: 3px;
    margin: 2px 0 4px;
  }
  .bubble.pictures {
    padding: 4px;
  }
  .bubble.pictures > .text,
  .bubble.pictures > .sender,
  .bubble.pictures > .mark {
    padding-inline: 7px;
  }
  .bubble.pictures > .text {
    padding-block-end: 2px;
    max-inline-size: 340px;
  }
  .bubble.pictures .files {
    margin: 0;
    grid-template-columns: 1fr 1fr;
    border-radius: 13px;
    overflow: hidden;
  }
  .bubble.pictures .sender + .files,
  .bubble.pictures .files + .text {
    margin-block-start: 4px;
  }
  .bubble.pictures .files.one {
    grid-template-columns: 1fr;
  }
  .picture {
    position: relative;
    display: block;
    inline-size: 168px;
    block-size: 168px;
    overflow: hidden;
    background: color-mix(in srgb, var(--_muted) 18%, transparent);
  }
  .one .picture {
    inline-size: 340px;
    max-inline-size: 100%;
    block-size: auto;
    max-block-size: 400px;
    aspect-ratio: var(--_ratio, 4 / 3);
  }
  .picture img {
    position: absolute;
    inset: 0;
    inline-size: 100%;
    block-size: 100%;
    object-fit: cover;
  }
  .picture img.thumb {
    filter: blur(6px);
    transform: scale(1.06);
  }
  .picture:focus-visible {
    outline-offset: -3px;
  }
  .over .meta {
    padding: 2px 7px;
    border-radius: 10px;
    background: rgb(0 0 0 / 52%);
    color: #fff;
    inset-block-end: 10px;
    inset-inline-end: 10px;
  }
  .over .meta.read .tick {
    color: #8ee9f2;
  }
  progress {
    position: absolute;
    inset-inline: 12px;
    inset-block-end: 12px;
    inline-size: calc(100% - 24px);
    block-size: 5px;
    accent-color: var(--_accent);
  }
  .file {
    display: flex;
    align-items: center;
    gap: 10px;
    padding: 4px 6px 4px 2px;
    inline-size: 260px;
    max-inline-size: 100%;
    text-align: start;
    border-radius: 10px;
    position: relative;
  }
  .file .sign {
    display: grid;
    place-items: center;
    flex: none;
    inline-size: 42px;
    block-size: 42px;
    border-radius: 12px;
    background: color-mix(in srgb, var(--_accent) 16%, transparent);
    color: var(--_accent);
  }
  .file .names {
    min-inline-size: 0;
  }
  .file b {
    display: block;
    font-weight: 600;
  }
  .file small {
    color: var(--_meta);
    font-size: 0.75rem;
  }
  .place {
    display: flex;
    align-items: center;
    gap: 8px;
    color: var(--_link);
  }
  .poll {
    inline-size: 300px;
    max-inline-size: 100%;
    border: 0;
    margin: 0 0 4px;
    padding: 0;
  }
  .poll legend {
    font-weight: 650;
    padding: 0;
    margin-block-end: 6px;
  }
  .option {
    display: grid;
    grid-template-columns: 20px 1fr auto;
    gap: 2px 8px;
    align-items: center;
    inline-size: 100%;
    padding: 5px 0;
    text-align: start;
  }
  .option .dot {
    inline-size: 18px;
    block-size: 18px;
    border-radius: 50%;
    border: 2px solid var(--_meta);
    display: grid;
    place-items: center;
  }
  .option[aria-pressed='true'] .dot {
    border-color: var(--_accent);
    background: var(--_accent);
    color: var(--_on-accent);
  }
  .option meter {
    grid-column: 2 / 4;
    inline-size: 100%;
    block-size: 5px;
    appearance: none;
    border: 0;
    border-radius: 3px;
    background: color-mix(in srgb, var(--_meta) 25%, transparent);
  }
  .option meter::-webkit-meter-bar {
    block-size: 5px;
    border: 0;
    border-radius: 3px;
    background: color-mix(in srgb, var(--_meta) 25%, transparent);
  }
  .option meter::-webkit-meter-optimum-value {
    background: var(--_accent);
    border-radius: 3px;
  }
`;function Cn(e,t){if(e.kind===`day`)return 44;if(e.kind===`unread`||e.kind===`event`)return 40;let{message:n}=e,r=Math.max(18,Math.min(t*.72,560)/8),i=Math.max(1,Math.ceil(n.text.length/r)+(n.text.match(/\n/g)?.length??0)),a=n.files.some(e=>e.mediaType.startsWith(`image/`))?260:n.files.length*60;return i*21+17+a+(e.first?8:2)+(n.replyTo?50:0)+(n.reactions.length>0?28:0)}var wn=class{#e=new Map;#t=[];#n=new Map;#r=new Float64Array(1);#i=0;setRows(e,t){t!==this.#i&&this.#e.clear(),this.#i=t,this.#t=e,this.#n=new Map(e.map((e,t)=>[e.key,t])),this.#r=new Float64Array(e.length+1),this.#a(0)}clear(){this.#e.clear(),this.setRows([],this.#i)}#a(e){for(let t=e;t<this.#t.length;t+=1){let e=this.#t[t];this.#r[t+1]=this.#r[t]+(this.#e.get(e.key)??Cn(e,this.#i))}}measure(e){let t=1/0;for(let[n,r]of e){let e=this.#n.get(n);e===void 0||r<=0||Math.abs((this.#e.get(n)??-1)-r)<.5||(this.#e.set(n,r),t=Math.min(t,e))}return t!==1/0&&(this.#a(t),!0)}get total(){return this.#r[this.#t.length]}indexOf(e){return this.#n.get(e)}topOf(e){return this.#r[Math.max(0,Math.min(e,this.#t.length))]}heightOf(e){return this.topOf(e+1)-this.topOf(e)}at(e){let t=0,n=this.#t.length-1;for(;t<n;){let r=t+n+1>>1;this.#r[r]<=e?t=r:n=r-1}return Math.max(0,t)}range(e,t){return this.#t.length===0?[0,0]:[this.at(Math.max(0,e)),Math.min(this.#t.length,this.at(Math.max(0,e+t))+1)]}},Tn=3e5;function En(e,t,n){return!!e&&!!t&&!e.event&&!t.event&&e.from===t.from&&Math.abs(t.at-e.at)<Tn&&n.has(e.at)&&n.has(t.at)}var Dn=class e{constructor(e,t,n){this.name=e,this.begins=t,this.ends=n}static of(t){let n=new Date(t);n.setHours(0,0,0,0);let r=n.getTime();return n.setDate(n.getDate()+1),new e(Ze(t),r,n.getTime())}has(e){return e>=this.begins&&e<this.ends}};function On(e,t){let n=[],r;for(let i=0;i<e.length;i+=1){let a=e[i],o=e[i-1],s=e[i+1];r?.has(a.at)||(r=Dn.of(a.at),n.push({kind:`day`,key:`day ${r.name} ${a.key}`,at:a.at})),t!==void 0&&a.key===t&&n.push({kind:`unread`,key:`unread`}),a.event?n.push({kind:`event`,key:a.key,message:a,index:i}):n.push({kind:`message`,key:a.key,message:a,index:i,first:!En(o,a,r)||a.key===t,last:!En(a,s,r)||s?.key===t})}return n}var kn=700,An=60,jn=1200,q=10,Mn=[];A(`tidings-message-view`,class extends N{static{this.properties={messages:{attribute:!1},quotes:{attribute:!1},names:{attribute:!1},conversation:{},label:{},me:{},group:{type:Boolean},mayManage:{type:Boolean,attribute:`may-manage`},readOnly:{type:Boolean,attribute:`read-only`},hasOlder:{type:Boolean,attribute:`has-older`},hasNewer:{type:Boolean,attribute:`has-newer`},loading:{type:Boolean},firstUnread:{attribute:`first-unread`},from:{state:!0},to:{state:!0},atEnd:{state:!0},fresh:{state:!0},floating:{state:!0},notice:{state:!0}}}#e=[];#t=new Map;#n=new wn;#r={kind:`bottom`};#i=0;#a=0;#o;#s;#c;#l;#u;#d;#f;#p;#m=new Set;#h=new ResizeObserver(()=>this.#x());#g=()=>this.#O();#_;constructor(){super(),this.messages=Mn,this.names=e=>e,this.conversation=``,this.label=``,this.me=``,this.group=!1,this.mayManage=!1,this.readOnly=!1,this.hasOlder=!1,this.hasNewer=!1,this.loading=!1,this.from=0,this.to=0,this.atEnd=!0,this.fresh=0,this.floating=``,this.notice=``;let e=this;this.#_={get me(){return e.me},get names(){return e.names},get group(){return e.group},get rightToLeft(){return e.matches(`:dir(rtl)`)},quoted:e=>this.#t.get(e)??this.quotes?.get(e),react:(e,t,n)=>this.tell(`react`,{message:e,emoji:t,off:n}),openMenu:(e,t)=>this.#M(e,t.getBoundingClientRect(),t),openFile:(e,t)=>this.tell(`open-file`,{message:e,file:t}),openQuoted:e=>this.#j(e),openProfile:e=>this.tell(`open-profile`,{user:e}),retry:e=>this.tell(`retry`,{message:e})}}static{this.styles=[I,L,R,st,xn,Sn,It]}connectedCallback(){super.connectedCallback(),document.addEventListener(`visibilitychange`,this.#g),window.addEventListener(`focus`,this.#g)}disconnectedCallback(){super.disconnectedCallback(),this.#h.disconnect(),document.removeEventListener(`visibilitychange`,this.#g),window.removeEventListener(`focus`,this.#g),clearTimeout(this.#d)}scrollToMessage(e){let t=this.#n.indexOf(e);return t===void 0?(this.#c=e,!1):(this.#c=void 0,this.#s=e,this.#r={kind:`row`,key:e,offset:Math.max(40,(this.#i-this.#n.heightOf(t))/2.5)},this.#C(),this.requestUpdate(),!0)}scrollToNewest(){this.hasNewer&&this.tell(`load-newest`),this.#r={kind:`bottom`},this.fresh=0,this.#C(),this.requestUpdate()}willUpdate(e){e.has(`conversation`)&&this.#v(),(e.has(`messages`)||e.has(`firstUnread`)||e.has(`conversation`))&&this.#y(e),e.has(`loading`)&&this.loading||((e.has(`messages`)||e.has(`hasOlder`))&&(this.#l=void 0),(e.has(`messages`)||e.has(`hasNewer`))&&(this.#u=void 0)),this.#b()}#v(){this.#n.clear(),this.#r={kind:`bottom`},this.#o=void 0,this.#s=void 0,this.#c=void 0,this.#f=void 0,this.#p=void 0,this.#m.clear(),this.fresh=0,this.floating=``,this.notice=``}#y(e){let t=e.has(`firstUnread`)&&this.firstUnread!==void 0&&this.#e.length===0;this.#e=On(this.messages,this.firstUnread),this.#t=new Map(this.messages.map(e=>[e.id,e])),this.#n.setRows(this.#e,this.#a);let n=this.messages.at(-1);if(n&&n.key!==this.#p&&this.#p!==void 0&&!this.hasNewer){let e=this.messages.findIndex(e=>e.key===this.#p),t=e<0?[]:this.messages.slice(e+1).filter(e=>!e.event),n=t.filter(e=>!e.mine);t.some(e=>e.mine)?this.#r={kind:`bottom`}:this.#r.kind!==`bottom`&&(this.fresh+=n.length);let r=n.at(-1);r&&(this.notice=bn(r,this.#_))}this.#p=n?.key,t&&this.#n.indexOf(`unread`)!==void 0&&(this.#r={kind:`row`,key:`unread`,offset:40}),this.#c!==void 0&&this.#n.indexOf(this.#c)!==void 0&&this.scrollToMessage(this.#c)}#b(){let e=Ht(this.#r,this.#n,this.#i,q)??this.find(`.scroller`)?.scrollTop??0,[t,n]=this.#n.range(e-kn,(this.#i||900)+2*kn);this.from=t,this.to=n}firstUpdated(){this.#h.observe(this);let e=this.find(`.window`);e&&this.#h.observe(e)}updated(){this.#S(),this.#C(),this.#E(),this.#D(),this.#O(),this.#s&&this.#k()}#x(){let{clientHeight:e,clientWidth:t}=this;t!==this.#a&&(this.#a=t,this.#n.setRows(this.#e,t));let n=e!==this.#i;this.#i=e,(this.#S()||n)&&(this.#C(),this.requestUpdate())}#S(){let e=[];for(let t of this.renderRoot.querySelectorAll(`[data-key]`))e.push([t.dataset.key??``,t.getBoundingClientRect().height]);return this.#n.measure(e)?(this.requestUpdate(),!0):!1}#C(){let e=this.find(`.scroller`),t=this.find(`.canvas`),n=this.find(`.window`);if(!e||!t||!n)return;let r=Math.max(0,this.#i-this.#n.total-q);t.style.setProperty(`height`,`${this.#n.total+q+r}px`),n.style.setProperty(`transform`,`translateY(${this.#n.topOf(this.from)+r}px)`);let i=Ht(this.#r,this.#n,this.#i,q);i!==void 0&&Math.abs(e.scrollTop-i)>=1&&(e.scrollTop=i),this.atEnd=this.#r.kind===`bottom`&&!this.hasNewer}#w(){let e=this.find(`.scroller`);if(!e)return;let t=e.scrollTop,n=Ht(this.#r,this.#n,this.#i,q);if(n!==void 0&&Math.abs(n-t)<1.5)return;let r=this.#n.total+q-this.#i;this.#r=r-t<An&&!this.hasNewer?{kind:`bottom`}:Vt(this.#n,e=>this.#e[e]?.key,t),this.#r.kind===`bottom`&&(this.fresh=0),this.atEnd=this.#r.kind===`bottom`&&!this.hasNewer;let[i,a]=this.#n.range(t-kn/2,this.#i+kn);i<this.from||a>this.to?this.requestUpdate():(this.#E(),this.#O()),this.#T(t)}#T(e){let t=this.#e[this.#n.at(e)],n=t&&(`message`in t?t.message.at:t.kind===`day`?t.at:void 0);n!==void 0&&(this.floating=$e(n)),this.find(`.floating`)?.classList.add(`seen`),clearTimeout(this.#d),this.#d=setTimeout(()=>this.find(`.floating`)?.classList.remove(`seen`),1200)}#E(){let e=this.find(`.scroller`);if(!e||this.#i===0||this.loading||this.messages.length===0)return;this.hasOlder&&e.scrollTop<jn&&this.#l!==this.messages&&(this.#l=this.messages,this.tell(`load-older`));let t=this.#n.total-e.scrollTop-this.#i;this.hasNewer&&t<jn&&this.#u!==this.messages&&(this.#u=this.messages,this.tell(`load-newer`))}#D(){for(let e of this.#e.slice(this.from,this.to))if(!(e.kind!==`message`||e.message.gone))for(let t of e.message.files)!t.mediaType.startsWith(`image/`)||t.address||t.progress!==void 0||this.#m.has(t.id)||(this.#m.add(t.id),this.tell(`show-file`,{message:e.message,file:t}))}#O(){if(document.visibilityState!==`visible`||!document.hasFocus()||this.#i===0)return;let e=this.find(`.scroller`);if(!e)return;let t=e.scrollTop+this.#i+4;for(let e=Math.min(this.to,this.#e.length)-1;e>=this.from;--e){let n=this.#e[e];if(n&&n.kind!==`day`&&n.kind!==`unread`&&!n.message.mine&&!(this.#n.topOf(e)+Math.min(40,this.#n.heightOf(e))>t)){n.key!==this.#f&&(this.#f=n.key,this.tell(`read`,{message:n.message}));return}}}#k(){let e=this.#s;if(e===void 0)return;let t=this.#A(e);t&&(this.#s=void 0,t.classList.remove(`found`),t.offsetHeight,t.classList.add(`found`),t.addEventListener(`animationend`,()=>t.classList.remove(`found`),{once:!0}))}#A(e){return this.find(`[data-key="${CSS.escape(e)}"]`)}#j(e){let t=this.#t.get(e);t?this.scrollToMessage(t.key):(this.#c=e,this.tell(`find-message`,{id:e}))}#M(e,t,n){e.gone||e.status===`sending`||e.status===`failed`||(n?.setAttribute(`aria-expanded`,`true`),this.find(`tidings-message-menu`)?.open(e,t,n))}#N(e){let t=e.target.closest(`[data-key]`),n=this.messages.find(e=>e.key===t?.dataset.key);!n||n.event||e.target.closest(`a`)||(e.preventDefault(),this.#M(n,new DOMRect(e.clientX,e.clientY,0,0),t??void 0))}#P(e){let t=this.#e.filter(e=>e.kind===`message`),n=t.findIndex(e=>e.key===this.#o);if(!e.target.matches(`[data-key], .scroller`))return;let r;if(e.key===`ArrowUp`)r=n<0?t.length-1:Math.max(0,n-1);else if(e.key===`ArrowDown`)r=n<0?t.length-1:Math.min(t.length-1,n+1);else if(e.key===`Home`)r=0;else if(e.key===`End`){e.preventDefault(),this.#o=t.at(-1)?.key,this.scrollToNewest();return}else if((e.key===`Enter`||e.key===` `||e.key===`ContextMenu`)&&n>=0){e.preventDefault();let r=this.#A(t[n].key),i=r?.querySelector(`.bubble`)?.getBoundingClientRect();r&&i&&this.#M(t[n].message,i,r);return}r!==void 0&&(e.preventDefault(),this.#F(t[r]?.key))}async#F(e){let t=e===void 0?void 0:this.#n.indexOf(e);if(e===void 0||t===void 0)return;this.#o=e;let n=this.find(`.scroller`),r=this.#n.topOf(t);if(r<n.scrollTop||r+this.#n.heightOf(t)>n.scrollTop+this.#i){let i=r>n.scrollTop;this.#r={kind:`row`,key:e,offset:i?Math.max(0,this.#i-this.#n.heightOf(t)-20):20}}this.requestUpdate(),await this.updateComplete,this.#A(e)?.focus({preventScroll:!0})}render(){let e=this.#e.slice(this.from,this.to);return S`
      <div class="scroller scrolls" part="scroller" tabindex="0" role="region" aria-label=${M(`view.label`,{name:this.label})} aria-busy=${this.loading} @scroll=${this.#w} @keydown=${this.#P} @contextmenu=${this.#N}>
        <div class="canvas">
          <div class="window" lang=${Ke()}>
            <div class="inner" role="list">${Bt(e,e=>e.key,e=>this.#L(e))}</div>
          </div>
        </div>
      </div>
      ${this.messages.length===0&&!this.loading?S`<div class="empty"><slot name="empty"><span class="pill">${M(`view.empty`)}</span></slot></div>`:T}
      ${this.loading&&this.messages.length===0?S`<div class="loading" role="status"><span class="spinner"></span><span class="unseen">${M(`view.loading`)}</span></div>`:T}
      <div class="floating" aria-hidden="true">${this.floating?S`<span class="pill">${this.floating}</span>`:T}</div>
      <button class="newest" part="newest" ?hidden=${this.atEnd||this.messages.length===0} aria-label=${this.fresh>0?M(`view.newCount`,{count:this.fresh}):M(`view.newest`)} title=${M(`view.newest`)} @click=${this.scrollToNewest}>
        ${F.down(22)}${this.fresh>0?S`<span class="count">${this.fresh>99?`99+`:this.fresh}</span>`:T}
      </button>
      <div class="unseen" role="status" aria-live="polite">${this.notice}</div>
      <tidings-message-menu .me=${this.me} .group=${this.group} .mayManage=${this.mayManage} .mayWrite=${!this.readOnly} @tidings-message-action=${this.#I}></tidings-message-menu>
    `}#I(e){e.detail.action===`copy`&&(e.stopPropagation(),navigator.clipboard?.writeText(e.detail.message.text).catch(()=>void 0))}#L(e){if(e.kind===`day`)return S`<div class="day" data-key=${e.key} role="listitem"><span class="pill" part="day">${$e(e.at)}</span></div>`;if(e.kind===`unread`)return S`<div class="new" data-key=${e.key} role="listitem"><span class="pill" part="unread">${M(`view.unread`)}</span></div>`;if(e.kind===`event`){let t=e.message.event;return S`<div class="event" data-key=${e.key} role="listitem"><span class="pill" part="event">${t?yt(t,this.me,this.names):T}</span></div>`}let{message:t}=e;return S`<div class=${`row ${t.mine?`mine`:``} ${e.first?`first`:``} ${e.last?`last`:``}`} data-key=${e.key} data-id=${t.id} data-status=${t.status??T} role="listitem" tabindex="-1" aria-label=${bn(t,this.#_)} part="message">${yn(e,this.#_)}</div>`}askAgain(e){this.#m.delete(e.id),this.requestUpdate()}});var Nn=o`
  :host {
    display: block;
    position: relative;
    min-block-size: 0;
    background: var(--_surface);
  }
  .scrolls {
    position: absolute;
    inset: 0;
    padding: 4px 8px 12px;
  }
  ul {
    list-style: none;
    margin: 0;
    padding: 0;
  }
  li {
    content-visibility: auto;
    contain-intrinsic-block-size: auto 68px;
  }
  .conversation {
    display: flex;
    align-items: center;
    gap: 12px;
    inline-size: 100%;
    padding: 9px 10px;
    border-radius: 14px;
    text-align: start;
    transition: background-color 90ms;
  }
  .conversation:hover {
    background: var(--_hover);
    --tidings-avatar-ring: var(--_hover);
  }
  .conversation.selected {
    background: var(--_selected);
    --tidings-avatar-ring: var(--_selected);
  }
  .conversation:focus-visible {
    outline-offset: -2px;
  }
  .words {
    flex: 1;
    min-inline-size: 0;
    display: grid;
    gap: 3px;
  }
  .top,
  .bottom {
    display: flex;
    align-items: center;
    gap: 6px;
    min-inline-size: 0;
  }
  .top b {
    font-weight: 600;
    flex: 0 1 auto;
  }
  .top time {
    margin-inline-start: auto;
    flex: none;
  }
  .small {
    font-size: 0.75rem;
    color: var(--_muted);
    flex: none;
  }
  .said {
    flex: 1;
    min-inline-size: 0;
    font-size: 0.875rem;
    line-height: 20px;
    color: var(--_muted);
    text-align: start;
  }
  .unread .top time {
    color: var(--_accent);
    font-weight: 600;
  }
  .who {
    color: var(--_text);
  }
  .typing {
    color: var(--_accent);
    font-weight: 500;
  }
  .draft {
    color: var(--_danger);
  }
  .status {
    display: inline-block;
    vertical-align: -1px;
    margin-inline-end: 4px;
  }
  .status.read {
    color: var(--_tick);
  }
  .status.failed {
    color: var(--_danger);
  }
  .badge {
    flex: none;
    min-inline-size: 21px;
    block-size: 21px;
    padding: 0 6px;
    border-radius: 11px;
    display: inline-grid;
    place-items: center;
    font-size: 0.75rem;
    font-weight: 650;
    font-variant-numeric: tabular-nums;
    background: var(--_accent);
    color: var(--_on-accent);
    position: relative;
  }
  .badge.quiet {
    background: var(--_muted);
    color: var(--_surface);
  }
  .fold {
    display: flex;
    align-items: center;
    gap: 12px;
    inline-size: 100%;
    padding: 12px 20px;
    border-radius: 14px;
    color: var(--_muted);
    text-align: start;
  }
  .fold:hover {
    background: var(--_hover);
  }
  .fold small {
    margin-inline-start: auto;
  }
  .none {
    display: grid;
    gap: 4px;
    justify-items: center;
    margin: 48px 24px;
    text-align: center;
    color: var(--_muted);
  }
  .none b {
    color: var(--_text);
    font-weight: 600;
  }
  .ghost {
    display: flex;
    gap: 12px;
    padding: 9px 10px;
  }
  .ghost i {
    inline-size: 48px;
    block-size: 48px;
    border-radius: 50%;
    background: var(--_field);
  }
  .ghost span {
    flex: 1;
    margin-block: 8px;
    border-radius: 10px;
    background: var(--_field);
  }
`;function Pn(e,t,n){let[r,i]=e;return r===void 0?``:t?i===void 0?`${M(`typing.one`,{name:n(r)})}…`:e.length===2?`${M(`typing.two`,{first:n(r),second:n(i)})}…`:`${M(`typing.many`)}…`:`${M(`typing.you`)}…`}function Fn(e){return[...e].sort((e,t)=>Number(t.favourite)-Number(e.favourite)||t.lastAt-e.lastAt||e.name.localeCompare(t.name))}A(`tidings-conversation-list`,class extends N{static{this.properties={conversations:{attribute:!1},selected:{},names:{attribute:!1},me:{},filter:{},loading:{type:Boolean},showArchived:{state:!0},acting:{state:!0}}}#e;constructor(){super(),this.conversations=[],this.names=e=>e,this.me=``,this.filter=``,this.loading=!1,this.showArchived=!1}static{this.styles=[I,L,R,Nn]}#t(e){this.tell(`open`,{key:e.key})}async#n(e,t){e.preventDefault();let n=e.currentTarget,r=e instanceof MouseEvent&&e.type===`contextmenu`&&e.clientX>0?new DOMRect(e.clientX,e.clientY,0,0):n.getBoundingClientRect();this.acting=t,this.#e=n,await this.updateComplete;let i=this.find(`.menu`);i?.showPopover(),i&&xt(i,r),i?.querySelector(`.item`)?.focus()}#r(e){let t=this.acting;this.find(`.menu`)?.hidePopover(),this.#e?.focus(),t&&this.tell(`conversation-action`,{key:t.key,action:e})}#i(e){let t=[...this.renderRoot.querySelectorAll(`.conversation`)],n=t.indexOf(this.shadowRoot?.activeElement),r={ArrowDown:n+1,ArrowUp:n-1,Home:0,End:t.length-1}[e.key];r===void 0||n<0||(e.preventDefault(),t[Math.max(0,Math.min(t.length-1,r))]?.focus())}#a(e){let t=[...this.renderRoot.querySelectorAll(`.item`)],n=e.key===`ArrowDown`?1:e.key===`ArrowUp`?-1:0;n!==0&&(e.preventDefault(),t[(t.indexOf(this.shadowRoot?.activeElement)+n+t.length)%t.length]?.focus())}render(){let e=this.filter.trim().toLocaleLowerCase(),t=Fn(this.conversations).filter(t=>t.name.toLocaleLowerCase().includes(e)),n=t.filter(e=>!e.archived),r=t.filter(e=>e.archived);return S`<nav class="scrolls" aria-label=${M(`list.label`)} part="list" @keydown=${this.#i}>
        ${n.length+r.length===0?this.#o(e!==``):T}
        <ul role="list">${Bt(n,e=>e.key,e=>this.#c(e))}</ul>
        ${r.length===0?T:S`<button class="fold" aria-expanded=${this.showArchived} @click=${()=>{this.showArchived=!this.showArchived}}>${F.archive(20)} <span>${M(`list.archived`)}</span> <small>${r.length}</small></button>
              ${this.showArchived?S`<ul role="list">${Bt(r,e=>e.key,e=>this.#c(e))}</ul>`:T}`}
        <slot></slot>
      </nav>
      <div class="menu" popover="auto" role="menu" part="menu" aria-label=${this.acting?M(`list.actions`,{name:this.acting.name}):M(`act.more`)} @keydown=${this.#a}>${this.acting?this.#s(this.acting):T}</div>`}#o(e){return this.loading?S`<div class="ghosts" aria-hidden="true">${[1,2,3,4,5].map(()=>S`<div class="ghost"><i></i><span></span></div>`)}</div>`:e?S`<p class="none">${M(`list.nothingFound`)}</p>`:S`<slot name="empty"><p class="none"><b>${M(`list.empty`)}</b>${M(`list.emptyHint`)}</p></slot>`}#s(e){let t=e.mutedUntil>Date.now(),n=`user`in e.peer,r=[[e.unread>0||e.markedUnread?`markRead`:`markUnread`,`unread`],[e.favourite?`unfavourite`:`favourite`,`pin`],[t?`unmute`:`mute`,t?`bell`:`bellOff`],[e.archived?`unarchive`:`archive`,`archive`]];return n&&r.push([e.blocked?`unblock`:`block`,`block`]),r.map(([e,t])=>S`<button class="item ${e===`block`?`danger`:``}" role="menuitem" data-action=${e} @click=${()=>this.#r(e)}>${F[t](19)} ${M(`act.${e}`)}</button>`)}#c(e){let{unread:t,name:n}=e,r=`group`in e.peer,i=r?e.key.slice(2):e.peer.user,a=e.mutedUntil>Date.now(),o=e.key===this.selected,s=t>0?M(`list.unread`,{count:t}):e.markedUnread?M(`list.markedUnread`):``;return S`<li>
      <button class="conversation ${o?`selected`:``} ${t>0?`unread`:``}" part="conversation ${o?`selected`:``}" aria-current=${o?`true`:T} data-key=${e.key} @click=${()=>this.#t(e)} @contextmenu=${t=>this.#n(t,e)}>
        <tidings-avatar .user=${i} .name=${n} ?group=${r} ?online=${e.presence?.state===`online`}></tidings-avatar>
        <span class="words">
          <span class="top"><b class="clip" dir="auto">${n}</b>${a?S`<span class="small" title=${M(`list.muted`)}>${F.bellOff(14)}</span>`:T}<time class="small">${et(e.lastAt)}</time></span>
          <span class="bottom"><span class="clip said" dir="auto">${this.#l(e)}</span>
            ${e.favourite&&!s?S`<span class="small" title=${M(`list.favourite`)}>${F.pin(15)}</span>`:T}
            ${e.mentioned&&t>0?S`<span class="badge at" aria-hidden="true">@</span>`:T}
            ${s?S`<span class="badge ${a?`quiet`:``}"><span aria-hidden="true">${t>0?t>999?`999+`:t:``}</span><span class="unseen">${s}</span></span>`:T}
          </span>
        </span>
      </button>
    </li>`}#l(e){let t=`group`in e.peer;if(e.typing.length>0)return S`<span class="typing">${Pn(e.typing,t,this.names)}</span>`;if(e.draft&&e.key!==this.selected)return S`<span class="draft">${M(`list.draft`)}</span> ${e.draft}`;let{last:n}=e;if(!n)return T;let r=H(n,this.me,this.names);return n.event||n.gone?S`<i>${r}</i>`:n.mine?S`${this.#u(n.status)}${t?S`<span class="who">${M(`list.you`)}</span> `:T}${r}`:S`${t?S`<span class="who">${this.names(n.from)}:</span> `:T}${r}`}#u(e){return e===`failed`?S`<span class="status failed">${F.warning(14)}</span>`:e===`sending`?S`<span class="status">${F.clock(13)}</span>`:S`<span class="status ${e??``}">${rt(e===`delivered`||e===`read`)}</span>`}});var In=o`
  :host {
    display: block;
    position: relative;
    min-block-size: 0;
    background: var(--_surface);
  }
  .scrolls {
    position: absolute;
    inset: 0;
    padding: 20px 12px 24px;
  }
  header {
    display: grid;
    justify-items: center;
    gap: 4px;
    text-align: center;
    padding: 0 8px 16px;
    --tidings-avatar-size: 96px;
  }
  h2 {
    margin: 10px 0 0;
    font-size: 1.25rem;
    font-weight: 650;
    max-inline-size: 100%;
  }
  h3 {
    margin: 16px 8px 6px;
    font-size: 0.8125rem;
    font-weight: 600;
    color: var(--_muted);
  }
  .sub {
    color: var(--_muted);
    font-size: 0.875rem;
  }
  .sub.online {
    color: var(--_online);
  }
  .rows {
    display: grid;
    gap: 2px;
    border-block-start: 1px solid var(--_line);
    padding-block: 8px;
  }
  .act {
    display: flex;
    align-items: center;
    gap: 14px;
    inline-size: 100%;
    padding: 10px 12px;
    border-radius: 12px;
    text-align: start;
  }
  .act svg {
    color: var(--_muted);
    flex: none;
  }
  .act:hover {
    background: var(--_hover);
  }
  .act.danger,
  .act.danger svg {
    color: var(--_danger);
  }
  .fact {
    display: grid;
    padding: 8px 12px;
  }
  .fact small {
    color: var(--_muted);
    font-size: 0.75rem;
  }
  .line {
    display: flex;
    gap: 8px;
    padding: 4px 8px 10px;
  }
  .problem {
    margin: 0 8px 8px;
    color: var(--_danger);
    font-size: 0.8125rem;
  }
  ul {
    list-style: none;
    margin: 0;
    padding: 0;
  }
  .member {
    display: flex;
    align-items: center;
    gap: 12px;
    padding: 6px 4px 6px 8px;
    padding-inline: 8px 4px;
    border-radius: 12px;
    --tidings-avatar-size: 40px;
  }
  .member:hover {
    background: var(--_hover);
    --tidings-avatar-ring: var(--_hover);
  }
  .member > button.open {
    flex: 1;
    min-inline-size: 0;
    text-align: start;
    display: grid;
  }
  .member small {
    color: var(--_muted);
    font-size: 0.8125rem;
  }
  .role {
    font-size: 0.75rem;
    color: var(--_accent);
    background: var(--_accent-soft);
    border-radius: 8px;
    padding: 2px 8px;
  }
  .grid {
    display: grid;
    grid-template-columns: repeat(3, 1fr);
    gap: 3px;
    padding: 0 8px;
    border-radius: 12px;
    overflow: hidden;
  }
  .grid button {
    aspect-ratio: 1;
    overflow: hidden;
    background: var(--_field);
  }
  .grid img {
    inline-size: 100%;
    block-size: 100%;
    object-fit: cover;
  }
  .none {
    color: var(--_muted);
    margin: 4px 8px;
    font-size: 0.875rem;
  }
`;function Ln(e){return!e||e.state===`unknown`?``:e.state===`online`?M(`presence.online`):e.lastSeen>0?tt(e.lastSeen):M(`presence.offline`)}var Rn=class extends N{static{this.properties={conversation:{attribute:!1},messages:{attribute:!1}}}constructor(){super(),this.messages=[]}static{this.styles=[I,L,R,In]}#e(e){this.conversation&&this.tell(`conversation-action`,{key:this.conversation.key,action:e})}render(){let{conversation:e}=this;if(!e||!(`user`in e.peer))return T;let{user:t}=e.peer,n=e.mutedUntil>Date.now(),r=e.presence?.state===`online`;return S`<section class="scrolls" aria-label=${M(`profile.label`,{name:e.name})} part="panel">
      <header>
        <tidings-avatar .user=${t} .name=${e.name}></tidings-avatar>
        <h2 class="clip" dir="auto">${e.name}</h2>
        <span class="sub ${r?`online`:``}">${Ln(e.presence)}</span>
        <slot name="actions"></slot>
      </header>
      <div class="rows"><div class="fact"><span dir="auto">${t}</span><small>${M(`profile.id`)}</small></div></div>
      <div class="rows">
        <button class="act" @click=${()=>this.#e(n?`unmute`:`mute`)}>${n?F.bell():F.bellOff()} ${M(n?`act.unmute`:`act.mute`)}</button>
        <button class="act" @click=${()=>this.#e(e.favourite?`unfavourite`:`favourite`)}>${F.pin()} ${M(e.favourite?`act.unfavourite`:`act.favourite`)}</button>
        <button class="act" @click=${()=>this.#e(e.archived?`unarchive`:`archive`)}>${F.archive()} ${M(e.archived?`act.unarchive`:`act.archive`)}</button>
        <button class="act danger" @click=${()=>this.#e(e.blocked?`unblock`:`block`)}>${F.block()} ${M(e.blocked?`act.unblock`:`act.block`)}</button>
      </div>
      <div class="rows"><h3>${M(`profile.media`)}</h3>${zn(this.messages,(e,t)=>this.tell(`open-file`,{message:e,file:t}))}</div>
      <slot></slot>
    </section>`}};function zn(e,t){let n=[];for(let t=e.length-1;t>=0&&n.length<60;--t){let r=e[t];if(!r.gone)for(let e of r.files)e.mediaType.startsWith(`image/`)&&(e.thumbnail||e.address)&&n.push({message:r,file:e})}return n.length===0?S`<p class="none">${M(`profile.noMedia`)}</p>`:S`<div class="grid">${n.map(({message:e,file:n})=>S`<button aria-label="${M(`act.open`)}: ${n.name}" @click=${()=>t(e,n)}><img src=${n.address??n.thumbnail??``} alt="" loading="lazy" /></button>`)}</div>`}A(`tidings-profile`,Rn),A(`tidings-group-panel`,class extends N{static{this.properties={group:{attribute:!1},conversation:{attribute:!1},messages:{attribute:!1},problem:{},hasMore:{type:Boolean,attribute:`has-more`},renaming:{state:!0},adding:{state:!0},sure:{state:!0},acting:{state:!0}}}constructor(){super(),this.messages=[],this.problem=``,this.hasMore=!1,this.renaming=!1,this.adding=!1}static{this.styles=[I,L,R,In]}willUpdate(e){let t=e.get(`group`);t&&t.id!==this.group?.id&&(this.renaming=!1,this.adding=!1,this.sure=void 0)}updated(e){(e.has(`renaming`)&&this.renaming||e.has(`adding`)&&this.adding)&&this.find(`input.field`)?.focus(),e.has(`sure`)&&this.sure&&this.find(`.danger.sure`)?.focus()}#e(e){this.group&&this.tell(`group-action`,{group:this.group.id,...e})}#t(e){e.preventDefault();let t=new FormData(e.target).get(`name`);typeof t==`string`&&t.trim()!==``&&this.#e({act:`rename`,name:t.trim()}),this.renaming=!1}#n(e){e.preventDefault();let t=e.target,n=String(new FormData(t).get(`users`)??``).split(/[\s,;]+/).map(e=>e.replace(/^@/,``)).filter(e=>e!==``);n.length>0&&this.#e({act:`add`,users:n}),t.reset()}async#r(e,t){let n=e.currentTarget;this.acting=t,await this.updateComplete;let r=this.find(`.menu`);r?.showPopover(),r&&xt(r,n.getBoundingClientRect()),r?.querySelector(`.item`)?.focus()}#i(e){this.find(`.menu`)?.hidePopover(),this.#e(e)}render(){let{group:e,conversation:t}=this;if(!e)return T;let n=(t?.mutedUntil??0)>Date.now(),r=[[n?`unmute`:`mute`,n?`bell`:`bellOff`],[t?.favourite?`unfavourite`:`favourite`,`pin`],[t?.archived?`unarchive`:`archive`,`archive`]];return S`<section class="scrolls" aria-label=${M(`group.label`,{name:e.name})} part="panel">
        <header>
          <tidings-avatar .user=${e.id} .name=${e.name} group></tidings-avatar>
          ${this.renaming?this.#a(e):S`<h2 class="clip" dir="auto">${e.name}</h2>`}
          <span class="sub">${M(`group.members`,{count:e.count})}${e.kind===`announcement`?` · ${M(`group.announcement`)}`:``}</span>
          <slot name="actions"></slot>
        </header>
        ${this.problem?S`<p class="problem" role="alert">${this.problem}</p>`:T}
        <div class="rows">
          ${e.may.add?S`<button class="act" aria-expanded=${this.adding} @click=${()=>{this.adding=!this.adding}}>${F.addPerson()} ${M(`group.add`)}</button>`:T}
          ${this.adding?S`<form class="line" @submit=${this.#n}><input class="field" name="users" autocomplete="off" autocapitalize="off" aria-label=${M(`group.addPlaceholder`)} placeholder=${M(`group.addPlaceholder`)} /><button class="button">${M(`group.addAction`)}</button></form>`:T}
          ${e.may.manage?S`<button class="act" @click=${()=>{this.renaming=!0}}>${F.compose()} ${M(`group.rename`)}</button>
                  <button class="act" @click=${()=>this.#e({act:`pause`,paused:!e.paused})}>${F.clock()} ${M(e.paused?`group.resume`:`group.pause`)}</button>`:T}
          ${t?r.map(([e,n])=>S`<button class="act" @click=${()=>this.tell(`conversation-action`,{key:t.key,action:e})}>${F[n]()} ${M(`act.${e}`)}</button>`):T}
        </div>
        ${e.may.list?this.#s(e):T}
        <div class="rows"><h3>${M(`profile.media`)}</h3>${zn(this.messages,(e,t)=>this.tell(`open-file`,{message:e,file:t}))}</div>
        <div class="rows">${this.#o(e)}</div>
        <slot></slot>
      </section>
      <div class="menu" popover="auto" role="menu" aria-label=${this.acting?M(`group.actions`,{name:this.acting.name}):M(`act.more`)}>${this.acting?this.#l(e,this.acting):T}</div>`}#a(e){return S`<form class="line" @submit=${this.#t}>
      <input class="field" name="name" maxlength="100" aria-label=${M(`group.name`)} .value=${e.name} @keydown=${e=>{e.key===`Escape`&&(e.stopPropagation(),this.renaming=!1)}} />
      <button class="button">${M(`act.save`)}</button>
    </form>`}#o(e){if(this.sure){let t=this.sure;return S`<p class="none">${M(t===`leave`?`group.leaveSure`:`group.deleteSure`,{name:e.name})}</p>
        <div class="line">
          <button class="button danger sure" @click=${()=>{this.sure=void 0,this.#e({act:t})}}>${M(t===`leave`?`group.leave`:`group.delete`)}</button>
          <button class="button" @click=${()=>{this.sure=void 0}}>${M(`act.cancel`)}</button>
        </div>`}return S`<button class="act danger" @click=${()=>{this.sure=`leave`}}>${F.leave()} ${M(`group.leave`)}</button>
      ${e.me.role===`owner`?S`<button class="act danger" @click=${()=>{this.sure=`delete`}}>${F.bin()} ${M(`group.delete`)}</button>`:T}`}#s(e){return S`<div class="rows">
      <h3>${M(`group.members`,{count:e.count})}</h3>
      <ul role="list">
        ${Bt(e.members,e=>e.user,t=>S`<li class="member" data-user=${t.user}>
            <tidings-avatar .user=${t.user} .name=${t.name} ?online=${t.presence?.state===`online`}></tidings-avatar>
            <button class="open" @click=${()=>this.tell(`open-profile`,{user:t.user})}>
              <span class="clip" dir="auto">${t.name}${t.user===e.me.user?` (${M(`group.you`)})`:``}</span><small class="clip">${Ln(t.presence)}</small>
            </button>
            ${t.role===`member`?T:S`<span class="role">${M(`group.${t.role}`)}</span>`}
            ${this.#c(e,t)?S`<button class="icon-button" aria-haspopup="menu" aria-label=${M(`group.actions`,{name:t.name})} @click=${e=>this.#r(e,t)}>${F.more(18)}</button>`:T}
          </li>`)}
      </ul>
      ${this.hasMore?S`<button class="act" @click=${()=>this.#e({act:`more-members`})}>${F.down()} ${M(`group.more`)}</button>`:T}
    </div>`}#c(e,t){let n={member:0,admin:1,owner:2};return t.user===e.me.user?!1:e.me.role===`owner`||(e.may.manage||e.may.remove)&&n[t.role]<n[e.me.role]}#l(e,t){let n=e.me.role===`owner`,r=(e,t,n,r=!1)=>S`<button class="item ${r?`danger`:``}" role="menuitem" @click=${()=>this.#i(e)}>${F[t](19)} ${n}</button>`;return S`
      ${n&&t.role===`member`?r({act:`role`,user:t.user,role:`admin`},`star`,M(`group.makeAdmin`)):T}
      ${n&&t.role===`admin`?r({act:`role`,user:t.user,role:`member`},`person`,M(`group.makeMember`)):T}
      ${n&&t.role!==`owner`?r({act:`role`,user:t.user,role:`owner`},`star`,M(`group.makeOwner`)):T}
      ${e.may.remove?r({act:`remove`,user:t.user},`bin`,M(`group.remove`),!0):T}
    `}});var Bn=220;A(`tidings-search`,class extends N{static{this.properties={text:{},conversations:{attribute:!1},found:{attribute:!1},hasMore:{type:Boolean,attribute:`has-more`},working:{type:Boolean},problem:{},names:{attribute:!1},me:{},label:{}}}#e;constructor(){super(),this.text=``,this.conversations=[],this.found=[],this.hasMore=!1,this.working=!1,this.problem=``,this.names=e=>e,this.me=``,this.label=``}static{this.styles=[I,L,R,Nn,o`
      :host {
        display: flex;
        flex-direction: column;
      }
      .bar {
        position: relative;
        padding: 6px 12px 8px;
      }
      .bar > svg {
        position: absolute;
        inset-inline-start: 24px;
        inset-block-start: 17px;
        color: var(--_muted);
        pointer-events: none;
      }
      .bar .field {
        padding-inline: 40px 40px;
        border-radius: 20px;
      }
      input::-webkit-search-cancel-button {
        display: none;
      }
      .bar .icon-button {
        position: absolute;
        inset-inline-end: 14px;
        inset-block-start: 8px;
        inline-size: 36px;
        block-size: 36px;
      }
      .results {
        position: relative;
        flex: 1;
        min-block-size: 0;
        overflow-y: auto;
        padding: 0 8px 12px;
      }
      h3 {
        margin: 10px 10px 4px;
        font-size: 0.8125rem;
        font-weight: 600;
        color: var(--_muted);
      }
      mark {
        background: color-mix(in srgb, var(--_accent) 24%, transparent);
        color: inherit;
        border-radius: 3px;
      }
      .more {
        margin: 8px auto;
        display: block;
      }
    `]}focus(){this.find(`input`)?.focus()}disconnectedCallback(){super.disconnectedCallback(),clearTimeout(this.#e)}updated(e){if(!e.has(`text`)||e.get(`text`)===void 0)return;clearTimeout(this.#e);let t=this.text.trim();this.#e=setTimeout(()=>this.tell(`search`,{text:t}),t===``?0:Bn)}#t(e){this.text=e.target.value,this.tell(`search-text`,{text:this.text})}#n(){this.text=``,this.tell(`search-text`,{text:``}),this.focus()}#r(e){e.key===`Escape`&&this.text!==``?(e.preventDefault(),e.stopPropagation(),this.#n()):e.key===`ArrowDown`&&(e.preventDefault(),this.find(`.conversation`)?.focus())}#i(e){let t=[...this.renderRoot.querySelectorAll(`.conversation`)],n=t.indexOf(this.shadowRoot?.activeElement),r=e.key===`ArrowDown`?1:e.key===`ArrowUp`?-1:0;r===0||n<0||(e.preventDefault(),n+r<0?this.focus():t[n+r]?.focus())}render(){let e=this.text.trim(),t=this.label||M(`search.placeholder`);return S`<div class="bar" role="search">
        ${F.search(18)}
        <input class="field" part="field" type="search" maxlength="256" enterkeyhint="search" autocomplete="off" aria-label=${this.label||M(`search.label`)} placeholder=${t} .value=${this.text} @input=${this.#t} @keydown=${this.#r} />
        ${this.text?S`<button class="icon-button" aria-label=${M(`search.clear`)} title=${M(`search.clear`)} @click=${this.#n}>${F.close(18)}</button>`:T}
      </div>
      ${e===``?T:S`<div class="results scrolls" part="results" @keydown=${this.#i}>${this.#a(e)}</div>`}`}#a(e){let t=e.toLocaleLowerCase(),n=e.split(/\s+/),r=this.conversations.filter(e=>e.name.toLocaleLowerCase().includes(t)).slice(0,8),i=r.length===0&&this.found.length===0;return S`
      ${r.length===0?T:S`<h3>${M(`search.conversations`)}</h3>
              ${r.map(e=>{let t=`group`in e.peer;return S`<button class="conversation" data-key=${e.key} @click=${()=>this.tell(`open`,{key:e.key})}>
                  <tidings-avatar .user=${e.key.slice(2)} .name=${e.name} ?group=${t} ?online=${e.presence?.state===`online`}></tidings-avatar>
                  <span class="words"><b class="clip" dir="auto">${nn(e.name,n)}</b></span>
                </button>`})}`}
      ${this.found.length===0?T:S`<h3>${M(`search.messages`)}</h3>
              ${Bt(this.found,({conversation:e,message:t})=>`${e} ${t.id}`,({conversation:e,name:t,message:r})=>S`<button class="conversation" data-id=${r.id} @click=${()=>this.tell(`open-message`,{key:e,message:r})}>
                  <tidings-avatar .user=${e.slice(2)} .name=${t} ?group=${e.startsWith(`g/`)}></tidings-avatar>
                  <span class="words">
                    <span class="top"><b class="clip" dir="auto">${t}</b><time class="small">${et(r.at)}</time></span>
                    <span class="said clip" dir="auto">${r.mine?S`<span class="who">${M(`list.you`)}</span> `:T}${nn(this.#o(r,n),n)}</span>
                  </span>
                </button>`)}`}
      ${this.hasMore?S`<button class="button more" @click=${()=>this.tell(`search-more`)}>${M(`search.more`)}</button>`:T}
      <p class="none" role="status">${this.problem?M(`search.failed`,{reason:this.problem}):this.working?`${M(`search.working`)}…`:i?M(`search.nothing`,{text:e}):``}</p>
    `}#o(e,t){let n=H(e,this.me,this.names),r=n.toLocaleLowerCase().indexOf((t[0]??``).toLocaleLowerCase());return r>28?`…${n.slice(r-20,r+160)}`:n.slice(0,200)}}),A(`tidings-status`,class extends N{static{this.properties={state:{reflect:!0},reason:{},retryAt:{type:Number,attribute:`retry-at`},catchingUp:{type:Boolean,attribute:`catching-up`},now:{state:!0}}}#e;constructor(){super(),this.state=`idle`,this.reason=``,this.retryAt=0,this.catchingUp=!1,this.now=Date.now()}static{this.styles=[I,L,o`
      :host {
        display: block;
      }
      .line {
        display: flex;
        align-items: center;
        gap: 10px;
        padding: 8px 14px;
        font-size: 0.84375rem;
        color: var(--_muted);
        background: var(--_field);
      }
      .line.bad {
        color: var(--_danger);
        background: color-mix(in srgb, var(--_danger) 10%, var(--_surface));
      }
      .line span {
        flex: 1;
      }
      .line svg {
        flex: none;
      }
      .spinner {
        flex: none !important;
        inline-size: 16px;
        block-size: 16px;
        border-radius: 50%;
        border: 2px solid color-mix(in srgb, var(--_accent) 25%, transparent);
        border-block-start-color: var(--_accent);
        animation: turn 0.8s linear infinite;
      }
      @keyframes turn {
        to {
          transform: rotate(1turn);
        }
      }
      .button {
        min-block-size: 30px;
        padding: 0 12px;
        font-size: 0.8125rem;
      }
    `]}disconnectedCallback(){super.disconnectedCallback(),this.#t()}#t(){clearInterval(this.#e),this.#e=void 0}updated(){this.state===`waiting`&&this.retryAt>0?this.#e??=setInterval(()=>{this.now=Date.now()},1e3):this.#t()}render(){return S`<div role="status" aria-live="polite">${this.#n()}</div>`}#n(){if(this.state===`stopped`)return S`<div class="line bad" part="line">${F.warning(18)}<span>${M(`connection.ended`,{reason:this.reason})}</span><button class="button danger" @click=${()=>this.tell(`sign-in-again`)}>${M(`act.signInAgain`)}</button></div>`;if(this.state===`waiting`){let e=Math.ceil((this.retryAt-this.now)/1e3);return S`<div class="line" part="line">${F.offline(18)}<span>${M(`connection.waiting`)}${e>1?S` <span aria-hidden="true">${M(`connection.retryIn`,{count:e})}</span>`:T}</span></div>`}return this.state===`connecting`?S`<div class="line" part="line"><span class="spinner"></span><span>${M(`connection.connecting`)}</span></div>`:this.catchingUp?S`<div class="line" part="line"><span class="spinner"></span><span>${M(`connection.catchingUp`)}</span></div>`:T}}),K.CREATED,K.JOINED,K.LEFT,K.REMOVED,K.MEMBERS_CHANGED,K.SETTINGS,K.DELETED,W.MEMBER,W.ADMIN,W.OWNER;var J=e=>1<<e;J(G.SEND)|J(G.RECEIVE)|J(G.LIST),J(G.RECEIVE)|J(G.LIST),J(G.SEND)|J(G.LIST),J(G.SEND)|J(G.LIST),W.MEMBER,W.ADMIN,W.OWNER;var Y=Date.now(),X=6e4,Vn={ada:`Ada`,ben:`Ben`,cleo:`Cleo`,noor:`نور`,mira:`Mira`},Hn=e=>Vn[e]??e,Un=`data:image/svg+xml,%3Csvg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 42"%3E%3Cdefs%3E%3ClinearGradient id="a" x1="0" y1="0" x2="0" y2="1"%3E%3Cstop stop-color="%231f3b73"/%3E%3Cstop offset=".45" stop-color="%23c8577a"/%3E%3Cstop offset="1" stop-color="%23ffd98a"/%3E%3C/linearGradient%3E%3C/defs%3E%3Crect width="64" height="27" fill="url(%23a)"/%3E%3Ccircle cx="38" cy="22" r="4" fill="%23fff1c9"/%3E%3Crect y="26" width="64" height="16" fill="%2333365c"/%3E%3C/svg%3E`,Wn=0;function Z(e,t,n,r={}){return Wn+=1,{key:`1.${Wn}`,id:`1.${Wn}`,from:e,mine:e===`ada`,at:Y-n*X,text:t,status:e===`ada`?`read`:void 0,reactions:[],files:[],mentions:[],...r}}var Q=1440,Gn=Z(`ben`,`Who is in for Saturday? Wind from the south-west, four, perhaps five.`,1640),Kn=[Z(``,``,3*Q,{event:{kind:`created`,users:[`ada`,`ben`,`cleo`,`noor`],by:`ben`}}),Z(`ben`,`Welcome aboard, everybody!`,3*Q-4,{reactions:[{emoji:`⛵`,from:`ada`},{emoji:`⛵`,from:`cleo`},{emoji:`🎉`,from:`noor`}]}),Z(`ben`,`Dates and lists go here.`,3*Q-5,{pinned:!0}),Gn,Z(`ada`,`I am! I can bring the new sail.`,1630,{replyTo:Gn.id}),Z(`cleo`,`@Ada have a look at https://example.com/forecast before you promise anything 😄`,1628,{mentions:[{user:`ada`,start:0,end:4}]}),Z(`noor`,`مرحبا! أنا قادمة أيضا`,1600),Z(`ada`,`👍`,1599),Z(`cleo`,``,95,{files:[{id:`f1`,name:`sunset.jpg`,mediaType:`image/jpeg`,size:182e3,thumbnail:Un,address:Un,picture:{width:640,height:420}}]}),Z(`cleo`,`From yesterday evening. No filter.`,94,{reactions:[{emoji:`😍`,from:`ada`},{emoji:`😍`,from:`ben`}]}),Z(`ben`,`Crew list`,60,{files:[{id:`f2`,name:`crew-2026.pdf`,mediaType:`application/pdf`,size:48213}]}),Z(`ben`,``,58,{gone:`recalled`}),Z(`ben`,``,40,{poll:{question:`When do we cast off?`,options:[{id:`a`,text:`At eight`},{id:`b`,text:`At ten, after breakfast`}],choices:1,closesAt:0},reactions:[{emoji:`a`,from:`ben`},{emoji:`b`,from:`ada`},{emoji:`b`,from:`cleo`}]}),Z(`ada`,`Ten it is, then`,12,{status:`delivered`,editedAt:Y-11*X}),Z(`ada`,`I bring the coffee`,11,{status:`sent`}),Z(`ada`,`and the buns`,10,{status:`sending`}),Z(`ada`,`This one did not go out`,9,{status:`failed`,reason:`The inbox is full`})],$={markedUnread:!1,mutedUntil:0,archived:!1,favourite:!1,blocked:!1,typing:[]},qn=[{...$,key:`g/sailing`,peer:{group:`sailing`},name:`Sailing club`,last:Kn[13],lastAt:Y-12*X,unread:0,favourite:!0},{...$,key:`u/ben`,peer:{user:`ben`},name:`Ben`,last:Z(`ben`,`See you at the pier`,3),lastAt:Y-3*X,unread:2,presence:{state:`online`,lastSeen:0}},{...$,key:`u/cleo`,peer:{user:`cleo`},name:`Cleo`,lastAt:Y-30*X,unread:0,typing:[`cleo`],presence:{state:`online`,lastSeen:0}},{...$,key:`u/noor`,peer:{user:`noor`},name:`نور`,last:Z(`ada`,`شكرا`,2*Q),lastAt:Y-2*Q*X,unread:0,presence:{state:`offline`,lastSeen:Y-50*X}},{...$,key:`g/news`,peer:{group:`news`},name:`Harbour news`,last:Z(`mira`,`The crane is out of order`,4*Q),lastAt:Y-4*Q*X,unread:17,mentioned:!0,mutedUntil:Y+Q*X},{...$,key:`u/mira`,peer:{user:`mira`},name:`Mira`,lastAt:Y-9*Q*X,unread:0,draft:`About the mooring`},{...$,key:`u/old`,peer:{user:`old`},name:`Last year`,lastAt:Y-200*Q*X,unread:0,archived:!0}],Jn={id:`sailing`,name:`Sailing club`,kind:`normal`,paused:!1,count:4,me:{user:`ada`,name:`Ada`,role:`owner`},may:{send:!0,list:!0,add:!0,remove:!0,manage:!0},members:[{user:`ada`,name:`Ada`,role:`owner`,presence:{state:`online`,lastSeen:0}},{user:`ben`,name:`Ben`,role:`admin`,presence:{state:`online`,lastSeen:0}},{user:`cleo`,name:`Cleo`,role:`member`,presence:{state:`online`,lastSeen:0}},{user:`noor`,name:`نور`,role:`member`,presence:{state:`offline`,lastSeen:Y-50*X}}]},Yn=qn.find(e=>e.key===`u/ben`),Xn=[{tag:`tidings-conversation-list`,frame:`frame tall narrow`,properties:{conversations:qn,names:Hn,me:`ada`,selected:`g/sailing`},attributes:[[`conversations`,`property: ConversationView[]`],[`selected`,`key of the open one`],[`filter`,`only names that have it`],[`loading`,`shows that the list is coming`]],events:[[`tidings-open`,`{ key }`],[`tidings-conversation-action`,`{ key, action }`]],slots:[[`(default)`,`below the list`],[`empty`,`when there is none`]]},{tag:`tidings-message-view`,frame:`frame tall`,properties:{conversation:`g/sailing`,label:`Sailing club`,messages:Kn,names:Hn,me:`ada`,group:!0},attributes:[[`messages`,`property: MessageView[], in order`],[`conversation`,`its key; another one begins anew`],[`group`,`with names and faces`],[`has-older / has-newer`,`more can be asked for`],[`first-unread`,`key of the first new one`],[`read-only`,`no answers, no reactions`]],events:[[`tidings-load-older / -newer / -newest`,`pages are wanted`],[`tidings-read`,`{ message }: seen up to here`],[`tidings-react`,`{ message, emoji, off }`],[`tidings-message-action`,`{ message, action }`],[`tidings-open-file`,`{ message, file }`],[`tidings-show-file`,`{ message, file }: an address is wanted`],[`tidings-retry`,`{ message }`],[`tidings-find-message`,`{ id }`]],slots:[[`empty`,`when there are none`]]},{tag:`tidings-composer`,frame:`frame`,properties:{conversation:`g/sailing`,members:Jn.members,names:Hn,me:`ada`,files:!0,replyTo:Z(`cleo`,`Who brings the rope?`,3)},attributes:[[`value`,`the text`],[`members`,`property: who can be mentioned`],[`replyTo, editing`,`properties: MessageView`],[`files`,`files can be attached`],[`max-bytes`,`default 60000`],[`note`,`why nobody writes here`]],events:[[`tidings-send`,`{ text, files, mentions, replyTo }`],[`tidings-edit`,`{ message, text, mentions }`],[`tidings-typing`,`{ typing }`],[`tidings-draft`,`{ text }`],[`tidings-edit-last`,`arrow up in an empty field`],[`tidings-cancel-edit / -reply`,``]],slots:[]},{tag:`tidings-search`,frame:`frame tall narrow`,properties:{text:`sa`,conversations:qn,names:Hn,me:`ada`,found:[{conversation:`g/sailing`,name:`Sailing club`,message:Kn[3]},{conversation:`u/ben`,name:`Ben`,message:Z(`ada`,`The sail is repaired`,5e3)}]},attributes:[[`text`,`what is searched`],[`conversations`,`property: found by name`],[`found`,`property: FoundView[]`],[`has-more`,`there are further ones`],[`working`,``],[`problem`,``]],events:[[`tidings-search`,`{ text }, a moment after the last key`],[`tidings-search-text`,`{ text }, at once`],[`tidings-search-more`,``],[`tidings-open`,`{ key }`],[`tidings-open-message`,`{ key, message }`]],slots:[]},{tag:`tidings-profile`,frame:`frame tall narrow`,properties:{conversation:Yn,messages:Kn},attributes:[[`conversation`,`property: ConversationView`],[`messages`,`property: their pictures are shown`]],events:[[`tidings-conversation-action`,`{ key, action }`],[`tidings-open-file`,`{ message, file }`]],slots:[[`actions`,`below the name`],[`(default)`,`at the end`]]},{tag:`tidings-group-panel`,frame:`frame tall narrow`,properties:{group:Jn,conversation:qn[0],messages:Kn},attributes:[[`group`,`property: GroupView`],[`problem`,`why the last action failed`],[`has-more`,`further members`]],events:[[`tidings-group-action`,`{ group, act, … }`],[`tidings-open-profile`,`{ user }`],[`tidings-open-file`,`{ message, file }`]],slots:[[`actions`,`below the name`],[`(default)`,`at the end`]]},{tag:`tidings-status`,frame:`frame`,properties:{state:`waiting`,retryAt:Date.now()+8e3},attributes:[[`state`,`idle, connecting, connected, waiting, stopped`],[`reason`,`of stopped`],[`retry-at`,`Unix ms`],[`catching-up`,``]],events:[[`tidings-sign-in-again`,``]],slots:[]}],Zn=document.querySelector(`#log`);function Qn(e){Zn.textContent=`${e.type} ${JSON.stringify(e.detail??null).slice(0,160)}\n${Zn.textContent}`.slice(0,6e3)}function $n(e){let t=document.createElement(`table`);for(let[n,r]of[...e.attributes,...e.events,...e.slots.map(([e,t])=>[`slot ${e}`,t])]){let e=t.insertRow();e.insertCell().textContent=n,e.insertCell().textContent=r}return t}for(let e of Xn){let t=document.createElement(`section`),n=document.createElement(`h2`);n.textContent=`<${e.tag}>`;let r=document.createElement(`div`);r.className=`stage`;let i=document.createElement(`div`);i.className=e.frame;let a=Object.assign(document.createElement(e.tag),e.properties);for(let[t]of e.events)for(let e of t.split(` / `))a.addEventListener(e.startsWith(`-`)?`tidings-load${e}`:e,Qn);i.append(a),r.append(i,$n(e)),t.append(n,r),document.querySelector(`#elements`).append(t)}var er=document.documentElement;function tr(e,t){let n=document.querySelector(`#${e}`);n.addEventListener(`input`,()=>t(n.value))}tr(`theme`,e=>er.style.setProperty(`color-scheme`,e)),tr(`direction`,e=>{er.dir=e}),tr(`language`,e=>{er.lang=e,Ge(e)}),tr(`accent`,e=>er.style.setProperty(`--tidings-accent`,e));